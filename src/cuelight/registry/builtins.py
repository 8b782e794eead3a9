"""The names that Cuelight offers, and where each class is.

A class is imported when its name is used, so listing the names is cheap.
"""

from __future__ import annotations


def _all_from(module: str, names: str) -> dict[str, str]:
    return {name: f"{module}:{name}" for name in names.split()}


CALLBACKS = {
    "EMACallback": "cuelight.callbacks.ema.ema_callback:EMACallback",
    "GradCamCallback": "cuelight.callbacks.grad_cam_callback:GradCamCallback",
    "TestOnTrainEnd": "cuelight.callbacks.test_on_train_end:TestOnTrainEnd",
    "ExportOnTrainEnd": "cuelight.callbacks.export_on_train_end:ExportOnTrainEnd",
    "ArchiveOnTrainEnd": "cuelight.callbacks.archive_on_train_end:ArchiveOnTrainEnd",
    "ChannelsLast": "cuelight.callbacks.channels_last:ChannelsLast",
    "MetadataLogger": "cuelight.callbacks.metadata_logger:MetadataLogger",
    "GPUStatsMonitor": "cuelight.callbacks.gpu_stats_monitor:GPUStatsMonitor",
    "UploadCheckpoint": "cuelight.callbacks.upload_checkpoint:UploadCheckpoint",
    "EarlyStopping": "cuelight.callbacks.lightning.early_stopping:EarlyStopping",
    "ModelCheckpoint": "cuelight.callbacks.lightning.model_checkpoint:ModelCheckpoint",
    "LearningRateMonitor": "cuelight.callbacks.lightning.learning_rate_monitor:LearningRateMonitor",
    "DeviceStatsMonitor": "cuelight.callbacks.lightning.device_stats_monitor:DeviceStatsMonitor",
    "RichModelSummary": "cuelight.callbacks.lightning.rich_model_summary:RichModelSummary",
    "GradientAccumulationScheduler": (
        "cuelight.callbacks.lightning.gradient_accumulation_scheduler:GradientAccumulationScheduler"
    ),
    "StochasticWeightAveraging": "cuelight.callbacks.lightning.stochastic_weight_averaging:StochasticWeightAveraging",
    "Timer": "cuelight.callbacks.lightning.timer:Timer",
    "ModelPruning": "cuelight.callbacks.lightning.model_pruning:ModelPruning",
}

MODELS = {
    "ClassificationModel": "cuelight.tasks.classification.model:ClassificationModel",
    "SegmentationModel": "cuelight.tasks.segmentation.model:SegmentationModel",
    "DetectionModel": "cuelight.tasks.detection.model:DetectionModel",
    "KeypointModel": "cuelight.tasks.keypoints.model:KeypointModel",
    "MultiLabelModel": "cuelight.tasks.multilabel.model:MultiLabelModel",
}

DATA = {
    "Digits": "cuelight.data.datasets.digits:Digits",
    "DigitBoxes": "cuelight.data.datasets.digit_boxes:DigitBoxes",
    "DigitKeypoints": "cuelight.data.datasets.digit_keypoints:DigitKeypoints",
    "DigitLabels": "cuelight.data.datasets.digit_labels:DigitLabels",
    "DigitScenes": "cuelight.data.datasets.digit_scenes:DigitScenes",
    "CocoDetection": "cuelight.data.datasets.coco:CocoDetection",
    "YoloDetection": "cuelight.data.datasets.yolo:YoloDetection",
    "CocoKeypoints": "cuelight.data.datasets.keypoint_files:CocoKeypoints",
    "YoloKeypoints": "cuelight.data.datasets.keypoint_files:YoloKeypoints",
    "VOCDetection": "cuelight.data.datasets.voc_detection:VOCDetection",
    "CocoMultiLabel": "cuelight.data.datasets.coco_multi_label:CocoMultiLabel",
    "MultiLabelFolder": "cuelight.data.datasets.multi_label_folder:MultiLabelFolder",
    "ImageFolder": "cuelight.data.datasets.image_folder:ImageFolder",
    "ImageList": "cuelight.data.datasets.image_list:ImageList",
    "HuggingFaceImages": "cuelight.data.datasets.hugging_face:HuggingFaceImages",
    "LuxonisClassification": "cuelight.data.datasets.luxonis:LuxonisClassification",
    "LuxonisDetection": "cuelight.data.datasets.luxonis:LuxonisDetection",
    "MaskFolder": "cuelight.data.datasets.mask_folder:MaskFolder",
    "VOCSegmentation": "cuelight.data.datasets.voc:VOCSegmentation",
}

# Left out: SparseAdam (sparse gradients only) and Muon (matrices only; it needs a second optimizer for the rest).
OPTIMIZERS = _all_from(
    "torch.optim",
    "ASGD Adadelta Adafactor Adagrad Adam AdamW Adamax LBFGS NAdam RAdam RMSprop Rprop SGD",
)

# Left out: those whose arguments are functions or other schedulers.
SCHEDULERS = _all_from(
    "torch.optim.lr_scheduler",
    "ConstantLR CosineAnnealingLR CosineAnnealingWarmRestarts CyclicLR ExponentialLR LinearLR MultiStepLR "
    "OneCycleLR PolynomialLR ReduceLROnPlateau StepLR",
)

# Left out: those that need boxes or key points, change the type, make several images of one, or take functions.
TRANSFORMS = _all_from(
    "torchvision.transforms.v2",
    "AugMix AutoAugment CenterCrop ColorJitter ElasticTransform GaussianBlur GaussianNoise Grayscale JPEG Pad "
    "RandAugment RandomAdjustSharpness RandomAffine RandomAutocontrast RandomChannelPermutation RandomCrop "
    "RandomEqualize RandomErasing RandomGrayscale RandomHorizontalFlip RandomInvert RandomPerspective "
    "RandomPhotometricDistort RandomPosterize RandomResize RandomResizedCrop RandomRotation RandomShortestSize "
    "RandomSolarize RandomVerticalFlip RandomZoomOut Resize TrivialAugmentWide",
)

# Further names that a file may use: a function that lists them, by what they are.
NAME_LISTS = {
    "network": "cuelight.training.backbones:network_names",
    "encoder": "cuelight.tasks.segmentation.networks:encoder_names",
    "architecture": "cuelight.tasks.segmentation.networks:architecture_names",
}
