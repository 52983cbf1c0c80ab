"""Options that several commands share."""

from typing import Annotated

import typer

Model = Annotated[str, typer.Option(help="Which model.")]
Control = Annotated[str, typer.Option(help="segmentation or edges.")]
SamplerName = Annotated[str, typer.Option(help="ddim, dpmpp, unipc or euler.")]
Steps = Annotated[int, typer.Option(help="Denoising steps.")]
Guidance = Annotated[float, typer.Option(help="How strongly the prompt pulls; 1 switches guidance off.")]
Scale = Annotated[float, typer.Option(help="How strongly the control map pulls.")]
Start = Annotated[float, typer.Option(help="Share of the steps before the control sets in.")]
End = Annotated[float, typer.Option(help="Share of the steps after which the control ends.")]
PlanName = Annotated[str, typer.Option(help="A preset, a share of full compute such as 0.4, or a plan's JSON.")]
MethodName = Annotated[str, typer.Option(help="hgc, deepcache, fewer_steps …; `methods` lists them.")]
Budget = Annotated[float | None, typer.Option(help="Share of full compute that the plan may take; else --plan's.")]
Verify = Annotated[
    float | None,
    typer.Option(help="Compute a step anew after a forecast that was off by more than this, such as 0.2."),
]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, xpu or mps; the best there is by default.")]
Dtype = Annotated[str | None, typer.Option(help="float32, bfloat16 or float16.")]
Graphs = Annotated[
    bool,
    typer.Option("--graphs/--no-graphs", help="Record steps that are alike and replay them (CUDA; not yet measured)."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
