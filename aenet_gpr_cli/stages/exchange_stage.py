"""`export` and `import`: ann.h5 → ænet's `.nn` files, and back; ann.h5 → a metatomic model."""

from __future__ import annotations

import os
from pathlib import Path

from aenet_gpr_cli.ann.potential.ann_model import ANNModel
from aenet_gpr_cli.errors import InputError, ResourceError
from aenet_gpr_cli.io.artefacts.artefact import Job, publish
from aenet_gpr_cli.io.artefacts.file_list import publish_files
from aenet_gpr_cli.io.artefacts.stored_anns import load_ann, write_ann
from aenet_gpr_cli.io.files import require_file, require_place, sha256_of
from aenet_gpr_cli.io.formats.aenet_nn import FORMATS, read_nn, write_nn
from aenet_gpr_cli.stages.shared.context import Context, Summary, log, nothing_to_do, planned
from aenet_gpr_cli.stages.shared.outputs import claim, refuse_inputs
from aenet_gpr_cli.text import encodable

COLUMNS = ("potential", "members", "species", "cutoffs / Å", "features", "hidden", "weights")
METATOMIC = "metatomic"
# Everything that uses a potential asks for the output of this stage.
POTENTIAL = "train-ann"


def export(ann: Path, folder: Path, file_format: str, member: int | None, context: Context) -> Summary:
    """Write a committee as files of ænet, several members into subfolders, or as one file of metatomic.

    Parameters
    ----------
    ann : Path
        Output of `train-ann` or `import`.
    folder : Path
        For metatomic also the name of the file, ending with ``.pt``.
    file_format : str
        ``nn``, ``nn.ascii`` or ``metatomic``.
    member : int or None
        This one only, counted from 0.

    Raises
    ------
    InputError
        If there is no such member, or a file is in the way that no earlier export has written.
    ResourceError
        If metatomic is wanted and not installed.
    """
    if file_format == METATOMIC:
        return _export_metatomic(ann, member, folder, context)
    refuse_inputs("export", [folder], [ann])
    model = load_ann(ann)
    if member is not None or model.n_members == 1:
        folders = {member or 0: folder}
    else:
        folders = {k: folder / f"member_{k:02d}" for k in range(model.n_members)}
        stale = sorted(set(folder.glob("member_*")) - set(folders.values()))
        if stale:
            log.warning("%s: left as it is, of an earlier export of more members", stale[0])
    lines = [f"{len(folders)} members of {ann}, format {file_format}"]
    if context.dry_run:
        return planned("export", folder, lines)
    with publish_files(folder) as made:
        for number, target in folders.items():
            write_nn(model, number, made / target.relative_to(folder), file_format)
    notes = [f"wrote {target}" for target in folders.values()]
    return Summary("Potential for ænet", COLUMNS, [_row(ann.name, model)], notes)


def _export_metatomic(ann: Path, member: int | None, output: Path, context: Context) -> Summary:
    path = output if output.suffix == ".pt" else output / f"{ann.stem}.pt"
    refuse_inputs("export", [path], [ann])
    require_place(path)
    model = load_ann(ann).select(None if member is None else [member])
    if context.dry_run:
        return planned("export", path, [f"{model.n_members} members of {ann}, format {METATOMIC}"])
    try:
        from aenet_gpr_cli.io.formats.metatomic import write_metatomic
    except ImportError as error:
        raise ResourceError(
            f"metatomic cannot be loaded ({error}); pip install 'aenet-gpr-cli[metatomic]'"
        ) from error
    with publish_files(path.parent) as made:
        write_metatomic(model, made / path.name, encodable(ann.stem))
    return Summary("Potential for metatomic", COLUMNS, [_row(ann.name, model)], [f"wrote {path}"])


def import_potential(paths: list[Path], output: Path, context: Context) -> Summary:
    """Read a potential of ænet and store it like a trained one.

    Parameters
    ----------
    paths : list of Path
        One `.nn` or `.nn.ascii` file per species, or the folder that holds them.

    Raises
    ------
    InputError
        If a file is damaged, the files do not belong together, or a folder holds none or several potentials.
    """
    paths = [file for path in paths for file in _network_files(path)]
    claim(POTENTIAL, output, paths)
    hashes = {f"{number}_{path.name}": sha256_of(path) for number, path in enumerate(paths)}
    job = Job(kind=POTENTIAL, config={"imported_from": "aenet"}, inputs=hashes)
    if (done := nothing_to_do(output, job, context)) is not None:
        return done
    model = read_nn(paths)
    if context.dry_run:
        return planned("import", output, [f"potential of {', '.join(model.basis.species)}"])
    with publish(output, job) as file:
        write_ann(file.create_group("model"), model)
        file.attrs["mode"] = "imported"
        summary = Summary("Potential of ænet", COLUMNS, [_row(output.name, model)], [f"wrote {output}"])
        file.attrs["summary"] = summary.to_json()
    return summary


def _network_files(path: Path) -> list[Path]:
    """Return a file as it is, and of a folder the files of its potential, binary or ASCII."""
    if not path.is_dir():
        if not os.path.lexists(path):
            raise InputError(f"{path}: expected a .nn file of ænet, but it does not exist")
        require_file(path)
        return [path]
    wanted = "expected .nn or .nn.ascii files of ænet, one per species"
    try:
        names = sorted(entry.name for entry in path.iterdir())
    except OSError as error:
        raise InputError(f"{path}: {wanted}, but the folder cannot be read: {error.strerror}") from error
    found = {end: [name for name in names if name.endswith(f".{end}")] for end in FORMATS}
    if not any(found.values()):
        folders = [name for name in names if name.startswith("member_")]
        hint = f"; it holds {len(folders)} members, give one of them: {path / folders[0]}" if folders else ""
        raise InputError(f"{path}: {wanted}, but the folder has none{hint}")
    if all(found.values()):
        both = " and ".join(each[0] for each in found.values())
        raise InputError(f"{path}: {wanted}, got both kinds ({both}); give the files of one kind by name")
    return [path / name for each in found.values() for name in each]


def _row(name: str, model: ANNModel) -> list[str]:
    basis = model.basis
    return [
        name,
        str(model.n_members),
        " ".join(basis.species),
        "/".join(f"{cutoff:g}" for cutoff in (basis.radial_cutoff, *basis.angular_cutoffs)),
        str(basis.n_features),
        "-".join(map(str, model.hidden)) or "–",
        str(model.architecture.n_weights),
    ]
