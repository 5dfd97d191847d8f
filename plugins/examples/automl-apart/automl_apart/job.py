"""One job: `python -m automl_apart.job FOLDER JOB`, with the job as JSON; its outcome is left in the folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from automl.data.problem import Problem
from automl.execute.trial import evaluate

if __name__ == "__main__":
    folder, job = Path(sys.argv[1]), json.loads(sys.argv[2])
    draft = folder / f".outcome-{job['id']}.json"
    draft.write_text(json.dumps(evaluate(job, Problem.read(folder))), encoding="utf-8")
    draft.replace(folder / f"outcome-{job['id']}.json")
