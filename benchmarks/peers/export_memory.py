"""Prints how many MiB an export holds at its peak on top of the loaded network, and how many its weights have.

export_memory.py EXPORTER NETWORK SIZE, where EXPORTER is cuelight, torchscript or dynamo. It writes into the working
directory.
"""

import ctypes
import gc
import sys
from pathlib import Path

import timm
import torch

MIB = 2**20
FILE = Path("exported.onnx")


def export(exporter, network, images):
    """Export with the defaults."""
    if exporter == "cuelight":
        from cuelight.config import ExporterConfig
        from cuelight.export.model_metadata import ModelMetadata
        from cuelight.export.onnx.export import export_onnx

        export_onnx(network, images, FILE, ExporterConfig(), ModelMetadata("none"))
    else:
        torch.onnx.export(network, (images,), FILE, dynamo=exporter == "dynamo")


def of_this_process(key):
    """Read a value from Linux, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(key))


def main():
    """Measure."""
    exporter, name, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
    images = torch.randn(1, 3, size, size)
    export(exporter, timm.create_model("test_resnet").eval(), images)  # what is loaded once is not counted
    network = timm.create_model(name).eval()
    with torch.no_grad():
        network(images)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # or an export would fill what is freed but still held, which nobody would see
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before = of_this_process("VmRSS")
    export(exporter, network, images)
    weights = sum(value.numel() * value.element_size() for value in network.state_dict().values())
    print(of_this_process("VmHWM") - before, weights / MIB)


if __name__ == "__main__":
    main()
