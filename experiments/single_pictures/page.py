"""The page of tables that shows what is measured of a run."""

from collections.abc import Mapping

import numpy as np

from experiments.documents import Document
from experiments.omniglot import EXPERIMENTS as PAPERS
from experiments.single_pictures.domains import AS_TRAINED, OTHERS
from experiments.single_pictures.plan import Cell, Plan
from experiments.single_pictures.steps import chosen_steps, measured_after
from experiments.tables import markdown, percent
from utils.command.configuration import Config

PAGE = """# Single pictures, any number of classes

Written by `python -m experiments.single_pictures --run=FOLDER --data_path=DIR`; nothing here is
typed by hand. {model}. Accuracy in % on {tasks} tasks of held-out classes, with the 95 % interval
over them (of the one network that was trained), masks at their mode. Each query is answered as if
it were alone, so that asking all together changes nothing.

After {taken} inner step(s), {chosen}, one model for all:

{ways}

After 0 to 5 inner steps; after 0, the answers are the prototypes' alone ({way}-way; as trained and
changed by hand, and pictures of another kind where they were measured):

{steps}
{probabilities}{papers}"""

PROBABILITIES_PAGE = """
What the probabilities are worth, after {taken} inner step(s). Their expected calibration error
in % (15 bins), as they are, and with a temperature of {temperature:.2f}, which was fitted on
{fitted} validation tasks of {ways} ways, 1 and 5 shots:

{calibration}

Each task is also asked pictures of as many other classes, that is, of none of its own. Under
"margin" stands how often such a stranger has a smaller margin (of the two likeliest classes) than a
picture of one of the classes, in %: 50 is chance. Under "kept", how many % of the strangers have a
margin as large as 95 % of the others:

{strangers}
"""

PAPERS_PAGE = """
The paper's form on the same tasks, after its own number of inner steps. It is for one number of
classes, in one order:

{table}
"""


def page(config: Config, document: Document, plan: Plan) -> str:
    """README.md of what is measured.

    Args:
        config: of the run.
        document: what its file says.
        plan: what is measured, whose missing cells are empty or left out.
    """
    trained = config.num_updates
    taken = chosen_steps(document.get("validation", {}), trained)
    chosen = "as trained"
    if taken != trained:
        chosen = f"chosen on {document['tasks']} validation tasks (trained with {trained})"
    probabilities = measured_after(taken, document["probabilities"], trained)
    return PAGE.format(
        model=(
            f"The run `{config.run_name}` ({config.method}, trained on {config.num_classes}-way "
            f"{config.update_batch_size}-shot {config.datasource}) after "
            f"{document['iteration']} iterations"
        ),
        tasks=document["tasks"],
        taken=taken,
        chosen=chosen,
        ways=_ways_table(document, plan, taken),
        way=plan.domains_way,
        steps=_steps_table(document, plan),
        probabilities=_of_probabilities(probabilities, document, plan, taken),
        papers=_of_papers(document),
    )


def _measured_ways(document: Document, plan: Plan) -> list[int]:
    cells = document["cells"]
    return [way for way in plan.ways if Cell(way, plan.shots[0], AS_TRAINED).name in cells]


def _accuracy(document: Document, cell: Cell, steps: int) -> str:
    found = document["cells"].get(cell.name)
    return percent(np.array(found["accuracy"])[:, steps]) if found else ""


def _ways_table(document: Document, plan: Plan, steps: int) -> str:
    ways = _measured_ways(document, plan)
    rows = [
        [
            f"{shot}-shot",
            *(_accuracy(document, Cell(way, shot, AS_TRAINED), steps) for way in ways),
        ]
        for shot in plan.shots
    ]
    return markdown(["", *(f"{way}-way" for way in ways)], rows)


def _steps_table(document: Document, plan: Plan) -> str:
    way, numbers = plan.domains_way, range(plan.steps + 1)
    others = [domain for domain, _ in OTHERS.values()]
    measured = [d for d in others if Cell(way, plan.shots[0], d).name in document["cells"]]
    rows = [
        [
            f"{domain}, {shot}-shot",
            *(_accuracy(document, Cell(way, shot, domain), steps) for steps in numbers),
        ]
        for domain in (*plan.domains, *measured)
        for shot in plan.shots
    ]
    return markdown(["pictures", *map(str, numbers)], rows)


def _of_probabilities(probabilities: Document, document: Document, plan: Plan, steps: int) -> str:
    """The part of the page on them; empty where there are none after these inner steps."""
    if not probabilities:
        return ""
    ways = _measured_ways(document, plan)

    def share(way: int, shot: int, name: str) -> str:
        found = probabilities.get(Cell(way, shot, AS_TRAINED).name)
        return f"{100 * found[name]:.1f}" if found else ""

    def shares(names: Mapping[str, str]) -> str:
        """A table of some of what `worth` says, by their titles."""
        rows = [
            [f"{shot}-shot, {title}", *(share(way, shot, name) for way in ways)]
            for shot in plan.shots
            for title, name in names.items()
        ]
        return markdown(["", *(f"{way}-way" for way in ways)], rows)

    return PROBABILITIES_PAGE.format(
        taken=steps,
        fitted=len(document["fitted_ways"]) * len(plan.shots) * document["tasks"],
        ways=" and ".join(map(str, document["fitted_ways"])),
        temperature=next(iter(probabilities.values()))["temperature"],
        calibration=shares(
            {"as it is": "calibration_error", "tempered": "calibration_error_tempered"}
        ),
        strangers=shares({"margin": "strangers_below", "kept": "strangers_kept"}),
    )


def _of_papers(document: Document) -> str:
    """The part of the page on the paper's form; empty where it was not measured."""
    cells = document["cells"]
    rows = [
        [
            name,
            f"{experiment.config.num_classes}-way",
            *(
                percent(np.array(cells[name][kind])[:, -1])
                for kind in ("accuracy", "accuracy_alone")
            ),
        ]
        for name, experiment in PAPERS.items()
        if name in cells
    ]
    header = ["run", "", "queries together", "each alone"]
    return PAPERS_PAGE.format(table=markdown(header, rows)) if rows else ""
