"""Functions that run on several ranks at once: in processes of their own, which form one process group (gloo)."""

import importlib.util
import inspect
import os
import sys
import tempfile
import traceback
from multiprocessing.connection import wait
from pathlib import Path

import torch

from support.processes import _context


def on_ranks(function, *arguments, count=2, grouped=True, seconds=120):
    """Run a function of any file on each rank.

    Args:
        function: Found again by its file and name, so that it need not be in a module that can be imported.
        arguments: For the function.
        count: Number of ranks.
        grouped: Whether the process group is there from the start; else Lightning takes the processes for single ones.
        seconds: How long all may take.

    Returns:
        What it returned on each rank.
    """
    with tempfile.TemporaryDirectory() as folder:
        call = inspect.getfile(function), function.__name__, arguments, folder
        group = count if grouped else None
        processes = [_context.Process(target=_run, args=(*call, rank, group)) for rank in range(count)]
        for process in processes:
            process.start()
        running = set(processes)
        while running:
            ended = wait([process.sentinel for process in running], seconds)
            running = {process for process in running if process.sentinel not in ended}
            for process in processes:
                process.join(0)
            if not ended or any(process.exitcode for process in processes):
                for process in running:
                    process.kill()
                    process.join()
                errors = [file.read_text() for file in sorted(Path(folder).glob("error-*"))]
                raise AssertionError("\n".join(errors) or "the ranks wait for each other")
        return [torch.load(Path(folder) / f"result-{rank}", weights_only=False) for rank in range(count)]


def _run(file, name, arguments, folder, rank, group):
    torch.set_num_threads(1)
    try:
        if group:
            os.environ.update(LOCAL_RANK=str(rank))
            torch.distributed.init_process_group(
                "gloo", init_method=f"file://{folder}/group", rank=rank, world_size=group
            )
        spec = importlib.util.spec_from_file_location(Path(file).stem, file)
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        torch.save(getattr(module, name)(*arguments), Path(folder) / f"result-{rank}")
        if group:
            torch.distributed.destroy_process_group()
    except BaseException:
        (Path(folder) / f"error-{rank}").write_text(f"rank {rank}:\n{traceback.format_exc()}")
        raise
