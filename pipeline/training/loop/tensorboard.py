"""Curves for TensorBoard: an event file per run, written while it trains.

TensorFlow writes the files whatever Keras's backend is; to look at them, ``pip install tensorboard`` and
``tensorboard --logdir FOLDER``.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.training.loop.schedule import Epoch

TAGS = {
    "loss/train": "loss",
    "loss/val": "val_loss",
    "accuracy/train": "accuracy",
    "accuracy/val": "val_accuracy",
    "learning_rate": "learning_rate",
    "seconds": "seconds",
}
"""What a value of `Epoch` is called on the page: curves of one group share a chart."""


class TensorBoardLog:
    """The scalars of a run, one step per epoch.

    Args:
        folder: of the run; its name is the run's name on the page.
        resumed: keep what an earlier part of the same run has written; otherwise its files are removed.
    """

    def __init__(self, folder: Path, *, resumed: bool = False) -> None:
        import tensorflow as tf

        self._tf = tf
        if not resumed:
            for path in folder.glob("events.out.tfevents.*"):
                path.unlink()
        self._writer = tf.summary.create_file_writer(str(folder))
        # What tf.summary.scalar sends; that function itself comes with tensorboard, which need not be there.
        self._kind = tf.compat.v1.SummaryMetadata(
            plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars"),
        )
        self._kind.data_class = 1  # DATA_CLASS_SCALAR

    def add(self, epoch: Epoch) -> None:
        """Write the values of an epoch; they can be read at once."""
        with self._writer.as_default(step=epoch.epoch):
            for tag, name in TAGS.items():
                value = self._tf.constant(getattr(epoch, name), "float32")
                self._tf.summary.write(tag, value, metadata=self._kind)
        self._writer.flush()

    def close(self) -> None:
        """Nothing more will come."""
        self._writer.close()
