"""What depthai makes of archives, on this machine and without a device."""

import json
import subprocess
import sys

LONGEST = 60  # seconds

# In a process of its own: depthai takes over the signals of its process, and a pipeline that hangs cannot be stopped.
PIPELINE = """
import json, sys, time
import depthai as dai
import numpy as np

def decode(archive, parser_node, outputs, size):
    with dai.Pipeline(createImplicitDevice=False) as pipeline:
        parser = pipeline.create(parser_node)
        parser.setRunOnHost(True)
        parser.setNNArchive(archive)
        source, results = parser.input.createInputQueue(), parser.out.createOutputQueue()
        pipeline.start()
        message = dai.NNData()
        for name, values in (outputs if isinstance(outputs, dict) else {"logits": outputs}).items():
            message.addTensor(name, np.array(values, np.float32))
        message.setTransformation(dai.ImgTransformation(*size))
        source.send(message)
        while (result := results.tryGet()) is None:
            time.sleep(0.005)
        return answer_of(result)

answers = [read(dai.NNArchive(path), outputs) for path, outputs in json.load(sys.stdin)]
print("\\n" + json.dumps(answers))
"""


def read_with_depthai(program, *jobs, **environment):
    """What depthai says of each job, an archive and logits or outputs by name, in one process for all.

    The program defines ``answer_of``, which takes what a parser gave, and ``read``, which takes an archive and the
    outputs and may call ``decode``.
    """
    head, rest = PIPELINE.split("answers = ")
    done = subprocess.run(
        [sys.executable, "-c", f"{head}{program}\nanswers = {rest}"],
        check=False,
        input=json.dumps([(str(path), outputs) for path, outputs in jobs]),
        capture_output=True,
        text=True,
        timeout=LONGEST,
        env=environment or None,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
