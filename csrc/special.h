/* The functions that rules of ops.def use and libm does not have. Total: poles and domain errors give inf or nan.
 * src/fastgrad/_special.py is their twin in Python: the same algorithms with the same constants. */
#ifndef FG_SPECIAL_H
#define FG_SPECIAL_H

/* Python's float % and //. By zero: nan, and the infinity or nan that x / y is. */
double fg_mod(double x, double y);
double fg_floordiv(double x, double y);

/* exp(x * x) * erfc(x) */
double fg_erfcx(double x);

/* The derivative of lgamma, and its derivatives of whole order n >= 0; nan for another n. */
double fg_digamma(double x);
double fg_polygamma(double n, double x);

#endif
