"""Read what an offline run of W&B holds: a log of protocol buffers in blocks, as LevelDB writes them."""

import json

import wandb

_BLOCK = 32768
_HEADER = 7  # of the file, and of each piece of a record
_ENDS = (1, 4)  # a whole record, the last piece of one


def read_run(folder):
    """What was sent to the runs below a folder.

    Returns:
        The history as a list of mappings, the configuration, the names and aliases of the artifacts, the ids and the
        exit codes.
    """
    wandb.teardown()  # its process may still be writing
    found = {"history": [], "config": {}, "artifacts": [], "ids": [], "exit_codes": []}
    for path in sorted(folder.rglob("*.wandb")):
        for record in _records(path.read_bytes()):
            kind = record.WhichOneof("record_type")
            if kind == "history":
                found["history"].append(_items(record.history.item))
            elif kind == "config":
                found["config"] |= _items(record.config.update)
            elif kind == "artifact":
                found["artifacts"].append((record.artifact.name, set(record.artifact.aliases)))
            elif kind == "run":
                found["ids"].append(record.run.run_id)
            elif kind == "exit":
                found["exit_codes"].append(record.exit.exit_code)
    return found


def _records(content):
    from wandb.proto.wandb_internal_pb2 import Record

    position, pieces = _HEADER, b""
    while position + _HEADER <= len(content):
        left = _BLOCK - position % _BLOCK
        if left < _HEADER:
            position += left
            continue
        length, kind = int.from_bytes(content[position + 4 : position + 6], "little"), content[position + 6]
        position += _HEADER
        pieces += content[position : position + length]
        position += length
        if kind in _ENDS:
            yield Record.FromString(pieces)
            pieces = b""


def _items(items):
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}
