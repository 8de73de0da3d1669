"""Whether what was listed makes a data set: kinds of images, names, contents and patients."""

from ganfp_tf.data.layouts import natural_key, shown
from ganfp_tf.errors import UserError


def check_need(frame, need, data):
    """Raises `UserError` where a kind of image that `need` asks for is missing."""
    real, generated = frame.role == "real", frame.role == "generated"
    groups = {
        "used real images": (real & (frame.label == 1), "real_used", "role real and label 1"),
        "not used real images": (
            real & (frame.label == 0),
            "real_not_used",
            "role real and label 0",
        ),
        "unknown real images": (
            real & (frame.label == -1),
            "real_unknown",
            "role real and an empty label",
        ),
        "generated images": (generated, "generated", "role generated"),
    }
    wanted = {
        "train": ("used real images", "not used real images", "generated images"),
        "predict": ("unknown real images", "generated images"),
    }[need]
    counts = ", ".join(f"{int(groups[name][0].sum())} {name}" for name in wanted)
    for name in wanted:
        mask, folder, row = groups[name]
        if not mask.any():
            raise UserError(
                f"--data: there are no {name} in {shown(str(data))}. Expected a folder {folder} "
                f"with images, or rows of a CSV with {row}. Found: {counts}."
            )


def check_names(frame):
    """Raises `UserError` where two images of one role and part share a name.

    The name is what stands for an image in scores and submissions.
    """
    doubled = frame[frame.duplicated(["role", "part", "name"], keep=False)]
    if len(doubled):
        first = doubled.iloc[0]
        same = doubled[(doubled["name"] == first["name"]) & (doubled.part == first.part)]
        one, other = same[same.role == first.role].relative.iloc[:2]
        raise UserError(
            f"--data: two {first.role} images have the same name: {shown(one)} and {shown(other)}. "
            "Rename one, or tell them apart with a column part in the manifest."
        )


def check_content(frame):
    """Compares digests and patients; raises `UserError` or returns a list of warnings."""
    notes = []
    real, generated = frame[frame.role == "real"], frame[frame.role == "generated"]
    used, unused = real[real.label == 1], real[real.label == 0]
    both = used[used.digest.isin(set(unused.digest))]
    if len(both):
        one = both.iloc[0]
        other = unused[unused.digest == one.digest].iloc[0]
        raise UserError(
            f"--data: the same image is used and not used: {shown(one.relative)} and "
            f"{shown(other.relative)} have the same content"
            + (f" (and {len(both) - 1} more such images)" if len(both) > 1 else "")
            + ". Remove one of them."
        )
    copies = generated[generated.digest.isin(set(real.digest))]
    if len(copies):
        source = real.drop_duplicates("digest").set_index("digest").relative
        pairs = [f"{shown(c.relative)} = {shown(source[c.digest])}" for c in copies.itertuples()]
        notes.append(
            f"{len(copies)} generated images are verbatim copies of real ones: " + _few(pairs) + "."
        )
    for (_, _), same in real.groupby(["label", "digest"], sort=False):
        if same.patient.nunique() > 1:
            names = [f"{shown(row.relative)} ({shown(row.patient)})" for row in same.itertuples()]
            notes.append("The same image belongs to different patients: " + _few(names) + ".")
    mixed = sorted(set(used.patient) & set(unused.patient), key=natural_key)
    if mixed:
        notes.append(
            f"{len(mixed)} patients have used and not used images: "
            + _few([shown(patient) for patient in mixed])
            + "."
        )
    return notes


def _few(items, count=5):
    more = f" and {len(items) - count} more" if len(items) > count else ""
    return ", ".join(items[:count]) + more
