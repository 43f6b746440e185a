"""Runs the AWS CLI for each line of JSON on the input, its arguments, and writes what came of it as a line on the output.

A run is a process of its own that does what /usr/bin/aws does. It is forked from this one, which has loaded the program: that alone
takes most of a second, for each of many hundred calls.
"""

import json
import os
import sys
import tempfile
import traceback

import awscli
import awscli.clidriver


def run(arguments):
    with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as complaint, open(os.devnull) as nothing:
        child = os.fork()
        if child == 0:
            for given, descriptor in (nothing, 0), (printed, 1), (complaint, 2):
                os.dup2(given.fileno(), descriptor)
            os._exit(main(arguments))
        _, status = os.waitpid(child, 0)
        printed.seek(0)
        complaint.seek(0)
        return {
            "code": os.waitstatus_to_exitcode(status),
            "printed": printed.read().decode(),
            "complaint": complaint.read().decode(),
        }


def main(arguments):
    sys.argv = ["aws", *arguments]
    try:
        code = awscli.clidriver.main()
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code or 0


print(json.dumps({"version": awscli.__version__}), flush=True)
for line in sys.stdin:
    print(json.dumps(run(json.loads(line))), flush=True)
