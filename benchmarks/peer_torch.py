"""torch-uncertainty's side of `peers.py`, with laplace-torch for Laplace, as their tutorials and README have it.

That is: a routine and a trainer of theirs, which measure validation after each epoch and test in the end, log and save
checkpoints; a method is a wrapper around the network. The images are tensors in memory, for which data loaders need no
processes of their own.
"""

import torch
from peer_job import Job, answer
from pytorch import convnet
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torch_uncertainty import TUTrainer
from torch_uncertainty.methods import SWAG, batch_ensemble, deep_ensembles, mc_dropout
from torch_uncertainty.metrics import BrierScore, CalibrationError, CategoricalNLL
from torch_uncertainty.routines import ClassificationRoutine
from torch_uncertainty.transforms import RepeatTarget
from torchmetrics import Accuracy, MetricCollection

NUM_CLASSES = 10
PREDICTION_BATCH_SIZE = 500
FOUND = {"accuracy": "cls/Acc", "nll": "cls/NLL", "brier": "cls/Brier", "ece": "cal/ECE"}  # as routines call them


def load(job: Job, split: str) -> DataLoader:
    """Return the batches of a split, shuffled where it is trained on."""
    images, labels = map(torch.from_numpy, job.arrays(split))
    training = split == "train"
    size = job.batch_size if training else PREDICTION_BATCH_SIZE
    return DataLoader(TensorDataset(images.permute(0, 3, 1, 2).contiguous(), labels), size, shuffle=training)


def build(job: Job) -> nn.Sequential:
    """Return the network of `uncertainty_suite.models.convnet`."""
    size = job.arrays("test")[0].shape[1]
    return convnet(size, job.dropout_rates)


def begin_as_keras(layer: nn.Module) -> None:
    """Draw the weights of a layer as Keras does: with PyTorch's own, so short a training ends elsewhere."""
    if isinstance(layer, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def train(job: Job, model: nn.Module, **options) -> tuple[TUTrainer, ClassificationRoutine]:
    """Train a network or what is around it, and return what has done so."""
    model.apply(begin_as_keras)
    trainer = TUTrainer(
        accelerator="cpu", max_epochs=job.epochs, enable_progress_bar=False, default_root_dir=job.folder / "lightning"
    )
    optimizer = torch.optim.Adam(model.parameters(), job.learning_rate)
    routine = ClassificationRoutine(model, NUM_CLASSES, nn.CrossEntropyLoss(), optim_recipe=optimizer, **options)
    trainer.fit(routine, train_dataloaders=load(job, "train"), val_dataloaders=load(job, "validation"))
    return trainer, routine


def run(job: Job, model: nn.Module, **options) -> dict[str, float]:
    """Train and measure."""
    trainer, routine = train(job, model, **options)
    (said,) = trainer.test(routine, dataloaders=load(job, "test"))
    return {**{name: said[f"test/{key}"] for name, key in FOUND.items()}, "parameters": count(model)}


def count(model: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def laplace(job: Job) -> dict[str, float]:
    """Train one network and give its last layer a Gaussian, whose prior precision is one of seven, as ours is."""
    from laplace import Laplace

    model = build(job)
    train(job, model)
    model.eval()
    approximation = Laplace(model, "classification", subset_of_weights="last_layer", hessian_structure="full")
    approximation.fit(load(job, "train"))
    approximation.optimize_prior_precision(
        method="gridsearch",
        pred_type="glm",
        link_approx="probit",
        val_loader=load(job, "validation"),
        log_prior_prec_min=-2,
        log_prior_prec_max=4,
        grid_size=7,
    )
    metrics = MetricCollection(
        {
            "accuracy": Accuracy("multiclass", num_classes=NUM_CLASSES),
            "nll": CategoricalNLL(),
            "brier": BrierScore(num_classes=NUM_CLASSES),
            "ece": CalibrationError("multiclass", num_classes=NUM_CLASSES),
        }
    )
    for images, labels in load(job, "test"):
        metrics.update(approximation(images, pred_type="glm", link_approx="probit"), labels)
    return {**metrics.compute(), "parameters": count(model)}


def repeated(job: Job) -> dict:
    """Return what a routine is told of members that are trained on all examples each."""
    return {"is_ensemble": True, "format_batch_fn": RepeatTarget(job.size)}


JOBS = {
    "deterministic": lambda job: run(job, build(job)),
    "mc_dropout": lambda job: run(job, mc_dropout(build(job), job.num_samples), is_ensemble=True),
    "deep_ensemble": lambda job: run(job, deep_ensembles(build(job), job.size), **repeated(job)),
    "batch_ensemble": lambda job: run(
        job, batch_ensemble(build(job), job.size, repeat_training_inputs=True, convert_layers=True), **repeated(job)
    ),
    # It collects after epochs whose number, from 0, is above the start.
    "swag": lambda job: run(
        job, SWAG(build(job), job.swag_start - 2, 1, scale=0.5, num_estimators=job.num_samples), is_ensemble=True
    ),
    "laplace": laplace,
}

if __name__ == "__main__":
    torch.manual_seed(0)
    answer(JOBS)
