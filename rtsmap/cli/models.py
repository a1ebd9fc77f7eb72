"""`rtsmap models`."""

import click


@click.group()
def models() -> None:
    """List the models that come with rtsmap, or show one.

    \b
    Example:
      rtsmap models list
      rtsmap models show rts-mini
    """


@models.command("list")
def list_() -> None:
    """List all models, and what to type next.

    \b
    Example:
      rtsmap models list
    """
    from rtsmap.models import list_models, search_folders

    found = list(list_models())
    if not found:
        folders = ", ".join(str(folder) for folder in search_folders())
        click.echo(f"No models in {folders}; train one with: rtsmap train", err=True)
        return
    width = max(len(card.name) for _, card in found)
    for _, card in found:
        modalities = "+".join(card.input.modalities)
        click.echo(f"{card.name:<{width}}  {card.version}  {modalities}  {card.input.gsd_m:g} m  {card.summary}")
    click.echo(f"\nNext: rtsmap models show {found[0][1].name}", err=True)
    click.echo(f"      rtsmap predict SCENE -o slumps.gpkg --model {found[0][1].name}", err=True)


@models.command()
@click.argument("name", default="rts-mini")
def show(name: str) -> None:
    """Show a model's card, and check its weights.

    \b
    Example:
      rtsmap models show rts-mini
    """
    from rtsmap.models import find_model, verify

    folder, card = find_model(name)
    verify(folder, card)
    click.echo((folder / "model.toml").read_text(encoding="utf-8"))
    text = folder / "card.md"
    if text.is_file():
        click.echo(text.read_text(encoding="utf-8"))
    click.echo(f"Folder: {folder} (weights verified)", err=True)
