"""Answers for names that are not known: which one is meant, or what of Keras it is.

Imported on the first miss only, so that it costs an import nothing. `MISSING` is the one table of
Keras's public names that are not here: these answers and docs/keras.md are made of it. `KEYWORDS`
has the arguments of what is here. `tools/keras_names.py` compares both with an installed Keras.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

KERAS = "3.15"

PLANNED, NOT_PLANNED, HERE = "planned", "not planned", "here under another name"


class Row(NamedTuple):
    """Names of Keras's that share an answer; {name} in `instead` stands for each of them."""

    what: str
    status: str
    instead: str
    names: str


_LAYER = "write it as a layer of your own in NumPy: subclass lamina.layers.Layer"
_LOSS = "write it as a loss of your own in NumPy: subclass lamina.losses.Loss"
_METRIC = "pass a function f(y_true, y_pred) that returns one value a row"
_AFTER = "compute it from model.predict(x), with NumPy or scikit-learn"
_BEFORE = "do it in NumPy before fit, or in a PyDataset"
_CALLBACK = "subclass lamina.callbacks.Callback"
_CONFIG = "use get_config() and from_config()"
_WEIGHTS = "save_weights(path) and load_weights(path) of a model that is made in code"
_FLOAT32 = "everything is float32, and set_float32_matmul_precision says how products multiply"
_SEQUENTIAL = "Sequential, a chain of layers"

# By module, "" being lamina itself. Rows with the name of a whole module that is not here stand
# for all names in it.
MISSING: dict[str, tuple[Row, ...]] = {
    "": (
        Row("a model of any graph of layers", PLANNED, _SEQUENTIAL, "Model"),
        Row("the module of a tensor's operations", PLANNED, "NumPy, or lamina.kernels", "ops"),
        Row(
            "a part of its graph of tensors",
            PLANNED,
            _SEQUENTIAL,
            "Function KerasTensor Operation InputSpec",
        ),
        Row("a base class", HERE, "lamina.initializers.{name}", "Initializer"),
        Row("a base class", HERE, "lamina.losses.{name}", "Loss"),
        Row("a base class", HERE, "lamina.metrics.{name}", "Metric"),
        Row("a base class", HERE, "lamina.optimizers.{name}", "Optimizer"),
        Row("a weight", HERE, "Layer.add_weight, which returns a lamina.layers.Weight", "Variable"),
        Row("the version", HERE, "lamina.__version__", "version"),
        Row(
            "penalties on weights",
            PLANNED,
            "Dropout, or fewer units; add the penalty in a loss of your own",
            "Regularizer regularizers",
        ),
        Row("limits of weights", PLANNED, "set_weights in a callback", "constraints"),
        Row("random numbers", PLANNED, "numpy.random, or lamina.kernels.random_bits", "random"),
        Row(
            "preparation of data",
            PLANNED,
            _BEFORE,
            "preprocessing",
        ),
        Row(
            "estimators for scikit-learn",
            PLANNED,
            "call fit and predict yourself, on what the pipeline returns",
            "wrappers",
        ),
        Row("the export to other formats", PLANNED, _WEIGHTS, "export"),
        Row(
            "models with weights that others have trained",
            NOT_PLANNED,
            "train a model of your own, or use Keras for these",
            "applications",
        ),
        Row(
            "types other than float32",
            NOT_PLANNED,
            _FLOAT32,
            "DTypePolicy FloatDTypePolicy dtype_policies mixed_precision Quantizer quantizers",
        ),
        Row(
            "training on several devices",
            NOT_PLANNED,
            "one process computes on the cores of one machine: lamina.set_num_threads",
            "device distribution",
        ),
        Row("training by another model", NOT_PLANNED, "write it as a loss", "distillation"),
        Row(
            "settings",
            NOT_PLANNED,
            "lamina.backend has the constants, lamina.show_config what was built",
            "config",
        ),
        Row("nested lists of tensors", NOT_PLANNED, "a model has one input and output", "tree"),
        Row("drawing", NOT_PLANNED, "Matplotlib", "visualization"),
        Row("what Keras keeps for old programs", NOT_PLANNED, _CONFIG, "legacy"),
        Row(
            "a part of its machinery",
            NOT_PLANNED,
            "nothing is needed in its place",
            "RematScope StatelessScope SymbolicScope name_scope remat",
        ),
    ),
    "activations": (
        Row(
            "an activation",
            PLANNED,
            "write it as a layer of your own in NumPy, or take gelu for silu and mish, relu for "
            "what is cut off",
            "celu exponential glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh "
            "log_sigmoid mish relu6 selu silu soft_shrink softsign sparse_plus sparse_sigmoid "
            "sparsemax squareplus swish tanh_shrink threshold",
        ),
        Row("the opposite of serialize", HERE, "lamina.activations.get", "deserialize"),
    ),
    "backend": (
        Row(
            "a setting",
            NOT_PLANNED,
            "it is fixed: float32, 1e-7, channels_last",
            "set_epsilon set_floatx set_image_data_format",
        ),
        Row(
            "a question about types",
            NOT_PLANNED,
            "numpy.dtype and numpy.result_type",
            "is_float_dtype is_int_dtype result_type standardize_dtype",
        ),
        Row("a question about tensors", NOT_PLANNED, "all arrays are NumPy's", "is_keras_tensor"),
        Row("a part of its machinery", NOT_PLANNED, "names number themselves", "get_uid"),
    ),
    "callbacks": (
        Row(
            "a callback that saves",
            PLANNED,
            "a callback whose on_epoch_end calls self.model.save_weights(path)",
            "BackupAndRestore ModelCheckpoint",
        ),
        Row(
            "a callback that sets the learning rate",
            PLANNED,
            "a callback that sets self.model.optimizer.learning_rate",
            "LearningRateScheduler ReduceLROnPlateau",
        ),
        Row(
            "a callback that writes a log",
            PLANNED,
            "the History that fit returns, or a LambdaCallback",
            "CSVLogger TensorBoard",
        ),
        Row(
            "a callback that stops at NaN",
            PLANNED,
            "a callback that sets self.model.stop_training",
            "TerminateOnNaN",
        ),
        Row("averages of the weights", PLANNED, _CALLBACK, "SwapEMAWeights"),
        Row("the progress bar", HERE, "fit(verbose=1)", "ProgbarLogger"),
        Row("a callback", NOT_PLANNED, _CALLBACK, "OrbaxCheckpoint RemoteMonitor"),
    ),
    "datasets": (
        Row(
            "a data set that is downloaded",
            NOT_PLANNED,
            "read its files with NumPy; datasets.mnist and datasets.fashion_mnist are here",
            "boston_housing california_housing cifar10 cifar100 imdb reuters",
        ),
    ),
    "initializers": (
        Row(
            "an initializer",
            PLANNED,
            "pass a function f(shape, dtype=None) that returns an array",
            "Identity IdentityInitializer Orthogonal OrthogonalInitializer identity orthogonal",
        ),
        Row(
            "an initializer",
            NOT_PLANNED,
            "pass a function f(shape, dtype=None) that returns an array",
            "STFT STFTInitializer stft",
        ),
        Row("the opposite of serialize", HERE, "lamina.initializers.get", "deserialize"),
    ),
    "layers": (
        Row(
            "a recurrent layer",
            PLANNED,
            "Flatten and Dense on windows of a fixed length; or " + _LAYER,
            "Bidirectional GRU GRUCell LSTM LSTMCell RNN SimpleRNN SimpleRNNCell StackedRNNCells",
        ),
        Row(
            "a wrapper that applies a layer to every step",
            PLANNED,
            "Dense as it is works on every step",
            "TimeDistributed",
        ),
        Row("a recurrent layer", NOT_PLANNED, _LAYER, "ConvLSTM1D ConvLSTM2D ConvLSTM3D"),
        Row(
            "a layer of attention",
            PLANNED,
            _LAYER,
            "AdditiveAttention Attention GroupQueryAttention MultiHeadAttention",
        ),
        Row("a Dense along any axes", PLANNED, "Reshape and Dense; or " + _LAYER, "EinsumDense"),
        Row(
            "a convolution along one axis",
            PLANNED,
            "Reshape((1, steps, channels)) and Conv2D with kernel_size=(1, k)",
            "Conv1D Convolution1D",
        ),
        Row(
            "a convolution",
            PLANNED,
            "Conv2D; or " + _LAYER,
            "Conv1DTranspose Conv2DTranspose Conv3D Conv3DTranspose Convolution1DTranspose "
            "Convolution2DTranspose Convolution3D Convolution3DTranspose DepthwiseConv1D "
            "DepthwiseConv2D SeparableConv1D SeparableConv2D SeparableConvolution1D "
            "SeparableConvolution2D",
        ),
        Row(
            "a pooling along one axis",
            PLANNED,
            "Reshape((1, steps, channels)) and the one for images, with pool_size=(1, k)",
            "AveragePooling1D AvgPool1D MaxPool1D MaxPooling1D",
        ),
        Row(
            "a pooling of a whole axis",
            PLANNED,
            "Reshape((1, steps, channels)) and GlobalAveragePooling2D",
            "GlobalAveragePooling1D GlobalAvgPool1D",
        ),
        Row(
            "a pooling of everything",
            PLANNED,
            "MaxPooling2D with the size of the whole image, and Flatten",
            "GlobalMaxPool1D GlobalMaxPool2D GlobalMaxPooling1D GlobalMaxPooling2D",
        ),
        Row(
            "a pooling of volumes",
            PLANNED,
            _LAYER,
            "AveragePooling3D AvgPool3D GlobalAveragePooling3D GlobalAvgPool3D GlobalMaxPool3D "
            "GlobalMaxPooling3D MaxPool3D MaxPooling3D",
        ),
        Row(
            "a pooling to a given size",
            NOT_PLANNED,
            "AveragePooling2D and MaxPooling2D with the pool_size that gives it",
            "AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D "
            "AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D",
        ),
        Row(
            "a layer of several inputs",
            PLANNED,
            "one layer of your own in NumPy that does both branches",
            "Add Average Concatenate Dot Maximum Minimum Multiply Subtract "
            "add average concatenate dot maximum minimum multiply subtract",
        ),
        Row(
            "a normalization",
            PLANNED,
            "BatchNormalization; or " + _LAYER,
            "GroupNormalization LayerNormalization RMSNormalization UnitNormalization",
        ),
        Row(
            "a normalization of weights", NOT_PLANNED, "BatchNormalization", "SpectralNormalization"
        ),
        Row(
            "a layer of noise",
            PLANNED,
            "Dropout",
            "AlphaDropout GaussianDropout GaussianNoise SpatialDropout1D SpatialDropout2D "
            "SpatialDropout3D",
        ),
        Row("an activation with weights", PLANNED, "LeakyReLU; or " + _LAYER, "PReLU"),
        Row("a layer that changes nothing", PLANNED, 'Activation("linear")', "Identity"),
        Row("a function as a layer", PLANNED, _LAYER, "Lambda"),
        Row("a mask of steps", PLANNED, "fit(sample_weight=...)", "Masking"),
        Row(
            "a penalty on outputs",
            PLANNED,
            "add the penalty in a loss of your own",
            "ActivityRegularization",
        ),
        Row(
            "a change of shape",
            PLANNED,
            "Reshape; or " + _LAYER,
            "Cropping1D Cropping2D Cropping3D Permute RepeatVector UpSampling1D UpSampling2D "
            "UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D",
        ),
        Row(
            "a preparation of numbers or text",
            PLANNED,
            "NumPy or scikit-learn before fit; Rescaling for one factor",
            "CategoryEncoding Discretization Hashing HashedCrossing IntegerLookup Normalization "
            "StringLookup TextVectorization",
        ),
        Row("spectra of sound", PLANNED, _BEFORE, "MelSpectrogram STFTSpectrogram"),
        Row(
            "a preparation of images",
            PLANNED,
            _BEFORE,
            "AugMix AutoContrast CenterCrop ContrastLimitedAdaptiveHistogramEqualization CutMix "
            "Equalization MixUp RandAugment RandomBrightness RandomColorDegeneration "
            "RandomColorJitter RandomContrast RandomCrop RandomElasticTransform RandomErasing "
            "RandomFlip RandomGaussianBlur RandomGrayscale RandomHue RandomInvert "
            "RandomPerspective RandomPosterization RandomRotation RandomSaturation "
            "RandomSharpness RandomShear RandomTranslation RandomZoom Resizing Solarization",
        ),
        Row(
            "a preparation of images",
            NOT_PLANNED,
            _BEFORE,
            "MaxNumBoundingBoxes Pipeline",
        ),
        Row(
            "an embedding used both ways", NOT_PLANNED, "Embedding and Dense", "ReversibleEmbedding"
        ),
        Row(
            "another framework's code as a layer",
            NOT_PLANNED,
            _LAYER,
            "FlaxLayer JaxLayer TFSMLayer TorchModuleWrapper",
        ),
        Row("a base of layers around layers", PLANNED, _LAYER, "Wrapper"),
        Row("a part of its machinery", NOT_PLANNED, "Input(shape)", "InputSpec"),
        Row("the reading and writing of configs", HERE, _CONFIG, "deserialize serialize"),
    ),
    "losses": (
        Row(
            "a loss",
            PLANNED,
            _LOSS,
            "BinaryFocalCrossentropy CTC CategoricalFocalCrossentropy "
            "CategoricalGeneralizedCrossEntropy CategoricalHinge Circle CosineSimilarity Dice "
            "Hinge Huber KLDivergence LogCosh MeanAbsolutePercentageError "
            "MeanSquaredLogarithmicError Poisson SquaredHinge Tversky binary_focal_crossentropy "
            "categorical_focal_crossentropy categorical_generalized_cross_entropy "
            "categorical_hinge circle cosine_similarity ctc dice hinge huber kl_divergence "
            "log_cosh mean_absolute_percentage_error mean_squared_logarithmic_error poisson "
            "squared_hinge tversky",
        ),
        Row("the reading and writing of configs", HERE, _CONFIG, "deserialize serialize"),
    ),
    "metrics": (
        Row(
            "a metric of all rows together",
            PLANNED,
            _AFTER,
            "AUC BinaryIoU ConcordanceCorrelation F1Score FBetaScore FalseNegatives "
            "FalsePositives IoU MeanIoU OneHotIoU OneHotMeanIoU PearsonCorrelation Precision "
            "PrecisionAtRecall R2Score Recall RecallAtPrecision RootMeanSquaredError "
            "SensitivityAtSpecificity SpecificityAtSensitivity TrueNegatives TruePositives "
            "concordance_correlation pearson_correlation",
        ),
        Row(
            "a metric",
            PLANNED,
            _METRIC,
            "Accuracy CategoricalHinge CosineSimilarity Hinge KLDivergence LogCoshError "
            "MeanAbsolutePercentageError MeanSquaredLogarithmicError Poisson "
            "SparseTopKCategoricalAccuracy SquaredHinge TopKCategoricalAccuracy "
            "binary_focal_crossentropy categorical_focal_crossentropy categorical_hinge hinge "
            "huber kl_divergence log_cosh mean_absolute_percentage_error "
            "mean_squared_logarithmic_error poisson sparse_top_k_categorical_accuracy "
            "squared_hinge top_k_categorical_accuracy",
        ),
        Row(
            "a mean or a sum of numbers",
            PLANNED,
            "subclass lamina.metrics.Metric, or add up in NumPy",
            "Mean MeanMetricWrapper Sum",
        ),
        Row(
            "a function",
            HERE,
            "lamina.losses.{name}",
            "binary_crossentropy categorical_crossentropy mean_absolute_error "
            "mean_squared_error sparse_categorical_crossentropy",
        ),
        Row(
            "a function",
            HERE,
            "forward(y_true, y_pred) of the class of that name",
            "binary_accuracy categorical_accuracy sparse_categorical_accuracy",
        ),
        Row("the reading and writing of configs", HERE, _CONFIG, "deserialize serialize"),
    ),
    "models": (
        Row("a model of any graph of layers", PLANNED, _SEQUENTIAL, "Model"),
        Row("a copy of a model", HERE, "copy.deepcopy(model)", "clone_model"),
        Row("files of whole models", PLANNED, _WEIGHTS, "load_model save_model"),
        Row("a model out of JSON", HERE, "Sequential.from_config", "model_from_json"),
    ),
    "optimizers": (
        Row(
            "an optimizer",
            PLANNED,
            "Adam or SGD",
            "Adadelta Adafactor Adagrad AdamW Adamax Ftrl Lamb Lion Muon Nadam RMSprop",
        ),
        Row(
            "learning rates that change",
            PLANNED,
            "set model.optimizer.learning_rate in a callback",
            "schedules",
        ),
        Row("an optimizer", NOT_PLANNED, "Adam or SGD", "ScheduleFreeAdamW"),
        Row(
            "several optimizers in one",
            NOT_PLANNED,
            "one optimizer, and layer.trainable = False where it shall not act",
            "MultiOptimizer OptimizerMap",
        ),
        Row("types other than float32", NOT_PLANNED, _FLOAT32, "LossScaleOptimizer"),
        Row("what Keras keeps for old programs", NOT_PLANNED, "Adam or SGD", "legacy"),
        Row("the reading and writing of configs", HERE, _CONFIG, "deserialize serialize"),
    ),
    "saving": (
        Row("files of whole models", PLANNED, _WEIGHTS, "load_model save_model"),
        Row(
            "a list of classes of your own",
            HERE,
            "the argument custom_objects of Sequential.from_config",
            "CustomObjectScope custom_object_scope get_custom_objects get_registered_name "
            "get_registered_object register_keras_serializable",
        ),
        Row(
            "the reading and writing of configs",
            HERE,
            _CONFIG,
            "deserialize_keras_object serialize_keras_object",
        ),
        Row("an editor of its files", NOT_PLANNED, "any reader of safetensors", "KerasFileEditor"),
    ),
    "utils": (
        Row(
            "a list of classes of your own",
            HERE,
            "the argument custom_objects of Sequential.from_config",
            "CustomObjectScope custom_object_scope get_custom_objects get_registered_name "
            "get_registered_object register_keras_serializable",
        ),
        Row(
            "the reading and writing of configs",
            HERE,
            _CONFIG,
            "deserialize_keras_object serialize_keras_object",
        ),
        Row("padding of sequences", PLANNED, _BEFORE, "pad_sequences"),
        Row(
            "data out of a folder",
            PLANNED,
            "a PyDataset that reads the files of a batch",
            "audio_dataset_from_directory image_dataset_from_directory "
            "text_dataset_from_directory timeseries_dataset_from_array",
        ),
        Row("a split of data", PLANNED, "fit(validation_split=...)", "split_dataset"),
        Row("a division by the norm", PLANNED, "x / numpy.linalg.norm(...)", "normalize"),
        Row(
            "pictures from and to files",
            NOT_PLANNED,
            "Pillow and numpy.asarray",
            "array_to_img img_to_array load_img save_img",
        ),
        Row("a picture of a model", NOT_PLANNED, "model.summary()", "model_to_dot plot_model"),
        Row("a progress bar", NOT_PLANNED, "fit(verbose=1) draws one", "Progbar"),
        Row("a download", NOT_PLANNED, "urllib.request", "get_file"),
        Row("a preparation of tables", NOT_PLANNED, "scikit-learn's pipelines", "FeatureSpace"),
        Row("boxes in pictures", NOT_PLANNED, "NumPy", "bounding_boxes"),
        Row(
            "a part of its machinery",
            NOT_PLANNED,
            "nothing is needed in its place",
            "Config disable_interactive_logging enable_interactive_logging get_source_inputs "
            "is_interactive_logging_enabled is_keras_tensor legacy pack_x_y_sample_weight "
            "standardize_dtype unpack_x_y_sample_weight",
        ),
    ),
}

# Arguments of Keras's that are not taken here, beside those that layers and optimizers refuse by
# themselves: of which functions and classes, and what to do.
KEYWORDS: dict[str, tuple[str, str]] = {
    "renorm renorm_clipping renorm_momentum synchronized": ("BatchNormalization", "leave it out"),
    "lora_alpha quantization_config": ("Dense Embedding", "leave it out"),
    "weights": ("Embedding", "build the layer and call set_weights"),
    "sparse ragged": ("Input InputLayer", "arrays are dense: pass x.toarray()"),
    "batch_shape": ("Input InputLayer", "give the shape of one row, shape=..."),
    "tensor input_tensor optional": ("Input InputLayer", "leave it out"),
    "input_axes output_axes": (
        "GlorotNormal GlorotUniform HeNormal HeUniform LecunNormal LecunUniform VarianceScaling",
        "leave it out: the last two axes are input and output",
    ),
    "dtype": (
        "BinaryCrossentropy CategoricalCrossentropy Loss MeanAbsoluteError MeanSquaredError "
        "SparseCategoricalCrossentropy",
        "leave it out: everything is float32",
    ),
    "axis": (
        "CategoricalCrossentropy SparseCategoricalCrossentropy binary_crossentropy "
        "categorical_crossentropy sparse_categorical_crossentropy",
        "the classes are the last axis",
    ),
    "ignore_class": (
        "SparseCategoricalCrossentropy sparse_categorical_crossentropy",
        "give these rows the weight 0 in sample_weight",
    ),
    "negative_slope max_value threshold": ("relu", "see leaky_relu, and numpy.minimum"),
    "max_shard_size": ("save_weights", "leave it out"),
    "skip_mismatch": ("load_weights", "set the weights that fit with layer.set_weights"),
    "free_memory": ("clear_session", "leave it out: memory is freed with the model"),
    "add_history add_progbar": ("CallbackList", "leave it out: fit does both"),
}


def row_of(module: str, name: str) -> Row | None:
    """What the table says of a name; module is "" for lamina itself, or "layers"."""
    for row in MISSING.get(module, ()):
        if name in row.names.split():
            return row
    return None


def answer(name: str, row: Row) -> str:
    """What it is, whether it is planned, and what to use now; name may be "layers.LSTM"."""
    instead = row.instead.format(name=name.rpartition(".")[2])
    if row.status == HERE:
        return f"Keras's {name}, {row.what}, is here as: {instead}"
    state = "planned, and not here yet" if row.status == PLANNED else "not planned"
    return f"Keras's {name}, {row.what}, is {state}; instead: {instead}"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The one of `known` that `name` was meant to be, if any is near."""
    # Of names that differ in capitals only the last stays: one that begins as this one does.
    in_order = sorted(known, key=lambda other: (other[:1].isupper() == name[:1].isupper(), other))
    plain = {_plain(other): other for other in in_order}
    meant = _plain(name)
    if meant not in plain:
        longer = [other for other in plain if other.startswith(meant) and len(meant) > 2]
        if longer:
            meant = min(longer, key=lambda other: (len(other), other))
        else:
            import difflib

            meant = next(iter(difflib.get_close_matches(meant, plain, 1, 0.7)), "")
    return plain.get(meant)


def _plain(name: str) -> str:
    return name.lower().replace("_", "")


def attribute_hint(module: str, name: str, public: Iterable[str]) -> str:
    """What the error for a name that a module has not goes on with."""
    row = row_of(module, name)
    if row is not None:
        return f": {answer(name, row)}"
    path = elsewhere(name)
    if path is not None:
        return f"; it is {path}"
    for other in MISSING:
        row = row_of(other, name)
        if row is not None:
            return f": {answer(f'{other}.{name}', row)}"
    return _near_hint(module, name, public)


def value_hint(module: str, value: str, known: Iterable[str]) -> str:
    """The same for a string that stands for something in a module, as "rmsprop" for RMSprop."""
    for other in _names(module):
        row = row_of(module, other)
        if _plain(other) == _plain(value) and row is not None and row.status != HERE:
            return f": {answer(other, row)}"
    return _near_hint(module, value, known)


def _near_hint(module: str, name: str, known: Iterable[str]) -> str:
    known = list(known)
    near = nearest(name, known) or nearest(name, _names(module))
    row = row_of(module, near) if near is not None and near not in known else None
    if near is None:
        return ""
    return f"; did you mean {near!r}?" + (f" {answer(near, row)}" if row is not None else "")


def _names(module: str) -> list[str]:
    return [name for row in MISSING.get(module, ()) for name in row.names.split()]


def keyword_hint(function: str, name: str, known: Iterable[str]) -> str:
    """The same for a keyword argument of a function or class."""
    for names, (owners, instead) in KEYWORDS.items():
        if name in names.split() and function.rpartition(".")[2] in owners.split():
            return f": Keras's {name} is not supported here; {instead}"
    near = nearest(name, known)
    return f"; did you mean {near!r}?" if near else ""


def elsewhere(name: str) -> str | None:
    """Where in lamina this public name is."""
    import importlib

    for module in MISSING:
        path = f"{__package__}.{module}" if module else str(__package__)
        if name in importlib.import_module(path).__all__:
            return f"{path}.{name}"
    return None


def markdown() -> str:
    """The table of docs/keras.md: every public name of Keras, and what of it there is."""
    import importlib

    lines = ["| Keras | | here |", "|---|---|---|"]
    for module in sorted(MISSING):
        path = f"{__package__}.{module}" if module else __package__
        public = importlib.import_module(str(path)).__all__
        names = ", ".join(f"`{name}`" for name in sorted(public) if not name.startswith("_"))
        lines.append(f"| **{module or 'keras'}** | **here** | {names} |")
        order = {HERE: 0, PLANNED: 1, NOT_PLANNED: 2}
        for row in sorted(MISSING[module], key=lambda row: order[row.status]):
            names = ", ".join(f"`{name}`" for name in row.names.split())
            instead = row.instead.replace("{name}", "…").replace("|", "\\|")
            lines.append(f"| {names}: {row.what} | {row.status} | {instead} |")
    return "\n".join(lines) + "\n"
