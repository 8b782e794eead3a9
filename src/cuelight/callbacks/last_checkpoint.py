"""The checkpoint from which a training goes on."""

from __future__ import annotations

from lightning.pytorch.callbacks import ModelCheckpoint

LAST_CHECKPOINT = "last.ckpt"


class LastCheckpoint(ModelCheckpoint):  # type: ignore[misc]
    """Saves ``last.ckpt`` at the end of every epoch, after all that the epoch changed.

    Lightning's ``save_last`` writes only when the monitored checkpoint of the same callback was written too; this
    one always does.

    Args:
        dirpath: The folder; ``checkpoints`` in the run directory if left out.
    """

    def __init__(self, dirpath: str | None = None) -> None:
        super().__init__(
            dirpath=dirpath,
            filename=LAST_CHECKPOINT.removesuffix(".ckpt"),
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )
