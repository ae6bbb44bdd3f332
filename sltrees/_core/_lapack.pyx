"""Triangular factors by LAPACK and BLAS, in place and with the interpreter free. Kernel: it validates nothing.

The functions of `scipy.linalg.lapack` hold the interpreter, so that threads would wait for one another; these are the
same routines of the same library, taken from where SciPy offers them to compiled code.
"""

from cpython.pycapsule cimport PyCapsule_GetName, PyCapsule_GetPointer

import scipy.linalg.cython_blas
import scipy.linalg.cython_lapack

ctypedef void (*potrf_t)(char *uplo, int *n, double *a, int *lda, int *info) noexcept nogil
ctypedef void (*trtri_t)(char *uplo, char *diag, int *n, double *a, int *lda, int *info) noexcept nogil
ctypedef void (*trsm_t)(
    char *side, char *uplo, char *trans, char *diag, int *m, int *n, double *alpha, double *a, int *lda, double *b,
    int *ldb) noexcept nogil


cdef void *routine(module, name) except NULL:
    """Where a routine is, whose integers are int: so its declaration says, which is its name there."""
    capsule = module.__pyx_capi__[name]
    declaration = PyCapsule_GetName(capsule)
    if b"int *" not in declaration:
        raise ImportError(f"{module.__name__}.{name} must take integers of type int, got {declaration.decode()}")
    return PyCapsule_GetPointer(capsule, declaration)


cdef potrf_t dpotrf = <potrf_t> routine(scipy.linalg.cython_lapack, "dpotrf")
cdef trtri_t dtrtri = <trtri_t> routine(scipy.linalg.cython_lapack, "dtrtri")
cdef trsm_t dtrsm = <trsm_t> routine(scipy.linalg.cython_blas, "dtrsm")


def factorise(double[::1, :] a):
    """Replace a matrix A, given on and below its diagonal, by L with L L^T = A.

    Parameters
    ----------
    a : ndarray of shape (n, n), Fortran order
        What is above the diagonal stays.

    Returns
    -------
    bool
        False if A is not positive definite to working precision; `a` is of no use then.

    Notes
    -----
    Cost: O(n^3 / 3).
    """
    cdef int n = <int> a.shape[0], info = 0
    cdef char uplo = b"L"
    if n == 0:
        return True
    with nogil:
        dpotrf(&uplo, &n, &a[0, 0], &n, &info)
    return info == 0


def invert(double[::1, :] lower):
    """Replace a lower triangular matrix by its inverse.

    Parameters
    ----------
    lower : ndarray of shape (n, n), Fortran order
        What is above the diagonal stays.

    Notes
    -----
    Cost: O(n^3 / 3).
    """
    cdef int n = <int> lower.shape[0], info = 0
    cdef char uplo = b"L", diag = b"N"
    if n == 0:
        return
    with nogil:
        dtrtri(&uplo, &diag, &n, &lower[0, 0], &n, &info)


def divide_rows(const double[::1, :] lower, double[:, :] rows):
    """Replace each row r by the solution x of L x = r: rows L^-T.

    Parameters
    ----------
    lower : ndarray of shape (n, n), Fortran order
        L; what is above the diagonal is not read.
    rows : ndarray of shape (m, n)
        Numbers of a row stand side by side.

    Notes
    -----
    Cost: O(n^2 m).
    """
    # BLAS counts in columns: to it, rows are columns
    solve(b"L", b"N", lower, rows)


def divide_columns(const double[::1, :] lower, double[:, :] columns, bint transposed=False):
    """Replace columns by L^-1 columns, or by L^-T columns.

    Parameters
    ----------
    lower : ndarray of shape (n, n), Fortran order
        L; what is above the diagonal is not read.
    columns : ndarray of shape (n, m)
        Numbers of a row stand side by side.
    transposed : bool, default False

    Notes
    -----
    Cost: O(n^2 m).
    """
    solve(b"R", b"N" if transposed else b"T", lower, columns)


cdef int solve(char side, char trans, const double[::1, :] lower, double[:, :] right) except -1:
    """dtrsm, of `right` transposed."""
    cdef char uplo = b"L", diag = b"N"
    cdef int n = <int> lower.shape[0], n_rows = <int> right.shape[1], n_columns = <int> right.shape[0]
    cdef int stride = <int> (right.strides[0] // <Py_ssize_t> sizeof(double))
    cdef double one = 1.0
    if n_rows == 0 or n_columns == 0:
        return 0
    stride = max(stride, n_rows)  # of a single row it may be anything
    with nogil:
        dtrsm(
            &side, &uplo, &trans, &diag, &n_rows, &n_columns, &one, <double *> &lower[0, 0], &n, &right[0, 0], &stride)
    return 0
