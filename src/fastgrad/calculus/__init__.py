"""Calculus on functions of numbers: derivatives by differences and exact ones, partial and total, and what checks them.

The functions take plain Python functions made of fastgrad's operations, and compiled ones. `derivative`, `partial`,
`total` and `differential` take a Value that has been computed as well.

>>> from fastgrad import calculus
>>> calculus.derivative(lambda x: x**3, 2.0)
12.0
"""

from .check import Component, Culprit, GradientCheck, check_grad
from .numerical import NumericalDerivative, numerical_derivative
from .partials import Total, derivative, differential, partial, total
from .series import taylor
from .sparse import SparseDerivative, Sparsity, sparse_hessian, sparse_jacobian, sparsity

__all__ = [
    "Component",
    "Culprit",
    "GradientCheck",
    "NumericalDerivative",
    "SparseDerivative",
    "Sparsity",
    "Total",
    "check_grad",
    "derivative",
    "differential",
    "numerical_derivative",
    "partial",
    "sparse_hessian",
    "sparse_jacobian",
    "sparsity",
    "taylor",
    "total",
]
