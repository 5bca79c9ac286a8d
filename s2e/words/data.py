"""The data of a job: the set, the noise in its labels, and the split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from s2e.words.fields import param

MAX_CLASSES = 1_000


@dataclass(frozen=True)
class NoiseSpec:
    """Label noise of the training labels: injected, drawn from its own seed, or made by people.

    Labels are drawn one by one from their class's row of T (Bernoulli: the realised rate varies from draw to draw),
    unless ``exact_counts`` asks for expected numbers. ``symmetric_inclusive`` re-draws exactly noise_rate x S labels.
    """

    kind: str = param(
        "symmetric",
        names="noise",
        doc="none (the default for labels that are given or trusted); symmetric: uniform over the other classes; "
        "symmetric_inclusive: exactly noise_rate x S labels re-drawn over all classes; pair: the next class; "
        "asymmetric: similar classes (mnist, cifar10, cifar100); asymmetric_elr: the same as ELR's program flips them, "
        "class after class; part_dependent, margin: by the features of each sample; matrix: the one given; "
        "human: CIFAR-N label sets below the data root; open_set: images of another set replace exactly noise_rate x S "
        "of the images, labels kept",
    )
    noise_rate: float = param(
        0.5,
        ge=0,
        lt=1,
        doc="probability that a label is replaced (asymmetric: of a class that is confused at all); matrix and human "
        "noise bring their own",
    )
    exact_counts: bool = param(
        False, doc="every class gets the expected number of each label (largest remainders); false: independent draws"
    )
    matrix: tuple[tuple[float, ...], ...] | None = param(
        None,
        max_length=MAX_CLASSES,
        ge=0,
        le=1,
        doc="kind matrix: T, one row per class, T[i][j] = P(label j | class i); rows sum to 1",
    )
    true_superclass: bool = param(
        False,
        doc="asymmetric noise of cifar100: false: next class in blocks of five fine labels, as published figures have "
        "it; true: next class of the same superclass",
    )
    margin_type: int = param(1, ge=1, le=3, doc="kind margin: which of its three polynomials")
    human_labels: str = param(
        "worse_label",
        names="human_labels",
        doc="kind human: a label set of CIFAR-10N (aggre, random1-3, worse) or CIFAR-100N (noisy_label)",
    )
    open_set: str | None = param(
        None,
        max_length=400,
        doc="kind open_set: the data set whose training images replace some, or an .npz file below the data root with "
        "an array images [P, H, W, D]",
    )
    params: dict[str, Any] = param(
        dict, doc="settings of a kind of another package, by name; what is missing gets defaults"
    )


@dataclass(frozen=True)
class CsvSpec:
    """The table of the data set ``csv``. Columns of numbers are standardised, columns of text one-hot; ``?`` and empty
    cells are missing."""

    path: str = param("", max_length=400, doc="the file, as a path below the data root; UTF-8")
    test_path: str | None = param(
        None, max_length=400, doc="a file of test samples with the same columns; null: test_share of path's rows"
    )
    test_share: float = param(
        0.2, gt=0, lt=1, doc="stratified share of the rows that tests where there is no test file"
    )
    header: bool = param(False, doc="the first row holds column names")
    label_column: str | None = param(
        None, max_length=200, doc="name of the label's column, or its number from 0; null: the last column"
    )
    delimiter: str = param("comma", choices=("comma", "semicolon", "tab"), doc="what separates cells")
    image: tuple[int, ...] = param(
        (),
        max_length=3,
        ge=1,
        le=1_024,
        doc="rows are images: depth, height and width; columns are pixels, whole numbers from 0 to 255, row by row",
    )


@dataclass(frozen=True)
class EstimatedNoise:
    """The noise of given labels, estimated without a true one before the first round."""

    noise_rate: float = param(ge=0, lt=1, doc="share of wrong labels")
    low: float = param(ge=0, le=1, doc="95 % interval of noise_rate")
    high: float = param(ge=0, le=1, doc="95 % interval of noise_rate; up to all labels that predictions miss, in doubt")
    transition: tuple[tuple[float, ...], ...] = param(
        max_length=MAX_CLASSES, ge=0, le=1, doc="T, one row per class, T[i][j] = P(label j | class i)"
    )
    kind: str = param(
        "full",
        choices=("symmetric", "full", "between"),
        doc="symmetric: one rate stands for the whole matrix; between: halfway, where neither can be believed",
    )
    n_rows: int = param(0, ge=0, doc="labels the estimate rests on")
    alarms: tuple[str, ...] = param((), max_length=20, doc="what speaks against the estimate, in words")


@dataclass(frozen=True)
class AuditSpec:
    """Labels that are likely wrong, for trainings that treat them otherwise (``train.revise``)."""

    job: str = param("", max_length=36, doc="the job whose audit names them, worst first: looked up at submission")
    n: int | None = param(None, ge=1, le=10_000_000, doc="how many; null: those that its audit takes to be wrong")
    rows: tuple[int, ...] = param(
        (), max_length=1_000_000, ge=0, doc="numbers of the training rows, from 0; filled in where a job is named"
    )
    labels: tuple[int, ...] = param(
        (), max_length=1_000_000, ge=0, lt=MAX_CLASSES, doc="the likely label of each, as a class number from 0"
    )


@dataclass(frozen=True)
class TrustedRows:
    """Numbers of the rows whose labels are known to be right, by use."""

    n_test: int = param(0, ge=0, doc="trusted rows that test; 0: all test rows do, against the labels as given")
    n_validation: int = param(0, ge=0, doc="trusted rows that rank schedules; 0: the labels as given do")
    n_train: int = param(0, ge=0, doc="trusted rows that train")
    n_classes_without: int = param(0, ge=0, doc="classes of which no row is trusted")


@dataclass(frozen=True)
class TrustedSpec:
    """Rows of your own data whose labels are known to be right: named by a column, by number, or in a second source."""

    column: str | None = param(
        None,
        max_length=200,
        doc="a column (in an .npz file an array) that says of each row whether its label is right: true or false, yes "
        "or no, 1 or 0",
    )
    rows: tuple[int, ...] = param((), ge=0, doc="the trusted rows by number, from 0 in the order of the source")
    path: str | None = param(
        None,
        max_length=400,
        doc="a second source of the same kind below the data root, all of whose labels are right",
    )
    n_test: int | None = param(
        None, ge=0, le=1_000_000, doc="trusted rows that test; null: a third, from 150 rows on, else none"
    )
    n_validation: int | None = param(
        None,
        ge=0,
        le=1_000_000,
        doc="trusted rows that rank schedules; null: a third of 150 and more, half of 100 and more, else none. The "
        "others train, as all do where none validates",
    )
    refit: bool = param(False, doc="those that rank train too, once nothing is ranked any more; leave it out")
    fold: int | None = param(
        None,
        ge=0,
        doc="the part of them that ranks, where methods are chosen: another in every round, and n_validation of the "
        "other rows beside it; leave it out",
    )
    counted: TrustedRows | None = param(None, doc="what became of them, counted before the first round; leave it out")

    @property
    def is_declared(self) -> bool:
        """True if some rows are said to be right."""
        return self.column is not None or self.path is not None or bool(self.rows)


@dataclass(frozen=True)
class OpenSizes:
    """Of a job on data of your own: sizes and network that it leaves to them, proposed before its first round, and the
    number of rows that test."""

    open: tuple[str, ...] = param(
        (), choices=("n_validation", "batch_size", "n_epochs", "network"), doc="not proposed yet; leave it out"
    )
    reasons: tuple[str, ...] = param((), max_length=200, doc="what was proposed, in words; leave it out")
    n_test: int | None = param(None, ge=0, doc="rows that test, counted before the first round; leave it out")
    notes: tuple[str, ...] = param((), max_length=200, doc="how the data were read, in words; leave it out")


@dataclass(frozen=True)
class DataSpec:
    """A data set, its noise, and how it is split."""

    name: str = param("digits", names="datasets", doc="name of the data set")
    noise: NoiseSpec = param(NoiseSpec, doc="noise of the training labels")
    split: str = param(
        "holdout",
        choices=("holdout", "s2e"),
        doc="holdout: stratified validation samples taken from the training data; s2e: the paper's preset, "
        "first half of the test set validates and the second half tests",
    )
    n_validation: int = param(300, ge=1, le=1_000_000, doc="validation samples taken by the holdout split")
    n_train: int | None = param(None, ge=1, le=10_000_000, doc="use only this many training samples; null: all")
    split_seed: int = param(0, ge=0, lt=2**63, doc="seed of the validation split and of the n_train subset")
    imbalance: float | None = param(
        None,
        ge=1,
        le=100_000,
        doc="the largest class over the smallest (imbalance factor rho): of class c = 0..C-1 n rho^(-c / (C - 1)) "
        "training samples are kept, n the mean count of a class, before validation samples are taken; test samples "
        "stay. null: all are kept",
    )
    n_clean: int = param(
        0,
        ge=0,
        le=1_000_000,
        doc="trusted samples with clean labels, set aside from the training data for methods that "
        "learn from some; they neither train nor validate",
    )
    normalise: str = param(
        "none",
        choices=("none", "channels"),
        doc="channels: pixels minus the data set's published mean, over its standard deviation; none: in [0, 1]",
    )
    csv: CsvSpec = param(CsvSpec, doc="the table, for data set csv")
    validation_labels: str = param(
        "clean",
        choices=("clean", "noisy", "noisy_corrected"),
        doc="noisy: validation labels go through the same noise, drawn from a seed of their own; noisy_corrected: so "
        "do they, and validation accuracy is carried back to clean labels by the inverse of the noise's matrix. Labels "
        "that are given validate as they are (noisy, the default there), or corrected by the estimated matrix",
    )
    params: dict[str, Any] = param(
        dict, doc="settings of the data set, by name; what is missing gets defaults (csv has a section of its own)"
    )
    labels: str = param(
        "injected",
        choices=("given", "injected", "trusted"),
        doc="what is known of the data set's labels. given: wrong to an unknown degree; nothing is injected, and their "
        "noise is estimated; the default of data of your own. injected: right, until noise is injected into those that "
        "train; the default elsewhere, and wherever a noise.kind is asked for. trusted: right, and nothing is injected",
    )
    estimate: EstimatedNoise | None = param(
        None, doc="noise of labels that are given, estimated before the first round; leave it out"
    )
    unestimated: str = param(
        "",
        max_length=2_000,
        doc="why the noise of given labels could not be estimated, of a job that goes on without; leave it out",
    )
    sizes: OpenSizes | None = param(
        None, doc="sizes that a job leaves to data of your own: defaults stand in until they are known; leave it out"
    )
    trusted: TrustedSpec = param(TrustedSpec, doc="rows of given labels that are known to be right")
    registered: str | None = param(
        None,
        max_length=60,
        doc="a data set registered with the service (s2e data add): name, settings and trusted rows are as they were "
        "registered",
    )
    fingerprint: str | None = param(
        None, max_length=64, doc="SHA-256 of the files of the data; where they have changed, nothing trains"
    )

    audit: AuditSpec | None = param(None, doc="labels that are likely wrong, for train.revise")
    fold: int | None = param(
        None,
        ge=0,
        doc="the part of the rows with given labels that is held out, where methods are chosen: another in every "
        "round; leave it out",
    )
    refit: bool = param(
        False, doc="rows that were held out to choose a method train too, once it is chosen; leave it out"
    )

    @property
    def trusted_rows(self) -> TrustedRows:
        """Numbers of trusted rows, by use; zeros until they are counted, and where there are none."""
        return self.trusted.counted or TrustedRows()

    @property
    def truth_is_known(self) -> bool:
        """False if nobody knows which labels are right, so that no number may rest on it."""
        return self.labels != "given"

    @property
    def accuracy_title(self) -> str:
        """The name of accuracy on the test samples, for people: against true, trusted or given labels."""
        if self.truth_is_known:
            return "test accuracy"
        return f"accuracy against {'trusted' if self.trusted_rows.n_test else 'the given'} labels"
