"""Writes the same images and boxes in the formats of COCO, YOLO and Pascal VOC."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from support.box_scenes import overlapping_scene

NAMES = ("red", "green", "blue", "yellow")
SPLITS = {"train": range(6), "val": range(6, 9), "test": range(9, 11)}


def write_coco_file(
    file: Path, images: Path, scenes: Sequence[int], ids: Sequence[int] = (3, 7, 20, 90), names: Sequence[str] = NAMES
) -> dict:
    """Write a JSON file, and the images that it lists; return its content."""
    images.mkdir(parents=True, exist_ok=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    categories = [{"id": i, "name": name, "supercategory": "colors"} for i, name in zip(ids, names, strict=True)]
    content: dict = {"images": [], "annotations": [], "categories": categories}
    for seed in scenes:
        pixels, target = overlapping_scene(seed)
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(images / f"{seed:03}.png")
        content["images"].append({"id": 100 + seed, "file_name": f"{seed:03}.png", "width": 128, "height": 96})
        for box, label in zip(target["boxes"].tolist(), target["labels"].tolist(), strict=True):
            left, top, right, bottom = box
            content["annotations"].append(
                {
                    "id": len(content["annotations"]) + 1,
                    "image_id": 100 + seed,
                    "category_id": ids[label],
                    "bbox": [left, top, right - left, bottom - top],
                    "iscrowd": 0,
                }
            )
    file.write_text(json.dumps(content))
    return content


def write_coco(root: Path) -> Path:
    """Write the layout of COCO."""
    for split, scenes in SPLITS.items():
        write_coco_file(root / "annotations" / f"instances_{split}2017.json", root / f"{split}2017", scenes)
    return root


def write_yolo(root: Path) -> Path:
    """Write the usual layout of YOLO."""
    for split, scenes in SPLITS.items():
        images, labels = root / "images" / split, root / "labels" / split
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        for seed in scenes:
            pixels, target = overlapping_scene(seed)
            Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(images / f"{seed:03}.png")
            lines = [
                f"{label} {(left + r) / 256:.7f} {(t + b) / 192:.7f} {(r - left) / 128:.7f} {(b - t) / 96:.7f}"
                for (left, t, r, b), label in zip(target["boxes"].tolist(), target["labels"].tolist(), strict=True)
            ]
            (labels / f"{seed:03}.txt").write_text("\n".join(lines))
    splits = "\n".join(f"{split}: images/{split}" for split in SPLITS)
    (root / "data.yaml").write_text(f"path: .\n{splits}\nnc: 4\nnames: [{', '.join(NAMES)}]\n")
    return root


def write_voc_file(file: Path, objects: Sequence[tuple[str, Sequence[float]]], size: Sequence[int] = (128, 96)) -> None:
    """Write an XML file of objects with 0-based boxes."""
    entries = "".join(
        f"<object><name>{name}</name><difficult>0</difficult><bndbox><xmin>{left + 1:g}</xmin><ymin>{t + 1:g}</ymin>"
        f"<xmax>{r:g}</xmax><ymax>{b:g}</ymax></bndbox></object>"
        for name, (left, t, r, b) in objects
    )
    file.write_text(
        f"<annotation><filename>{file.stem}.png</filename><size><width>{size[0]}</width><height>{size[1]}</height>"
        f"<depth>3</depth></size>{entries}</annotation>"
    )


def write_voc(root: Path) -> Path:
    """Write the layout of Pascal VOC."""
    images, annotations, lists = root / "JPEGImages", root / "Annotations", root / "ImageSets" / "Main"
    for folder in (images, annotations, lists):
        folder.mkdir(parents=True)
    for split, scenes in SPLITS.items():
        for seed in scenes:
            pixels, target = overlapping_scene(seed)
            Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(images / f"{seed:03}.png")
            names = [NAMES[label] for label in target["labels"].tolist()]
            write_voc_file(annotations / f"{seed:03}.xml", list(zip(names, target["boxes"].tolist(), strict=True)))
        (lists / f"{split}.txt").write_text("".join(f"{seed:03}\n" for seed in scenes))
    return root
