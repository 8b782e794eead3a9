"""Event files of TensorBoard, read record by record, with their pictures but without decoding these."""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from tensorboard.compat.proto.event_pb2 import Event

logger = logging.getLogger(__name__)

EVENT_FILES = "events.out.tfevents.*"
_HEADER = struct.Struct("<QI")  # length of the record, and its checksum
_CHECKSUM_BYTES = 4


def read_events(folder: Path) -> Iterator[Event]:
    """Yield the events of all files in a folder, which have the time in their name."""
    for file in sorted(folder.glob(EVENT_FILES)):
        with file.open("rb") as stream:
            try:
                while record := _next_record(stream):
                    yield Event.FromString(record)
            except DecodeError as error:
                logger.warning("%s is damaged, and is read only in part: %s", file, error)


def _next_record(stream: BinaryIO) -> bytes:
    """Return the content of the next record; nothing at the end of the file, which a kill may have cut."""
    header = stream.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return b""
    length, _ = _HEADER.unpack(header)
    record = stream.read(length)
    return record if len(record) == length and len(stream.read(_CHECKSUM_BYTES)) == _CHECKSUM_BYTES else b""
