/* References: A&S is Abramowitz and Stegun, Handbook of Mathematical Functions; DLMF is https://dlmf.nist.gov. */
#include "special.h"

#include <math.h>

#define PI 3.141592653589793
#define INV_SQRT_PI 0.5641895835477563
#define VELTKAMP 134217729.0 /* 2**27 + 1 splits a double into two halves of 26 bits */

#define FRACTION_TERMS 10   /* of erfcx's continued fraction: full precision for x >= 10 */
#define BERNOULLI_TERMS 9   /* of the asymptotic series: full precision for x >= ASYMPTOTIC + n */
#define ASYMPTOTIC 10.0
#define MAX_SHIFTS 64       /* more than any order needs */
#define MAX_ORDER 170       /* factorials beyond it are not doubles */

/* B(2), B(4), ...: DLMF 24.2, table 24.2.1. */
static const double BERNOULLI[BERNOULLI_TERMS] = {
    1.0 / 6.0, -1.0 / 30.0, 1.0 / 42.0, -1.0 / 30.0, 5.0 / 66.0, -691.0 / 2730.0, 7.0 / 6.0, -3617.0 / 510.0,
    43867.0 / 798.0,
};

double fg_mod(double x, double y)
{
    double r = fmod(x, y);
    if (r == 0.0)
        return copysign(0.0, y);
    return (r < 0.0) != (y < 0.0) ? r + y : r;
}

/* fmod is exact, so (x - r) / y is a whole number but for its rounding. */
double fg_floordiv(double x, double y)
{
    if (y == 0.0)
        return x / y;
    double r = fmod(x, y);
    double q = (x - r) / y;
    if (r != 0.0 && (r < 0.0) != (y < 0.0))
        q -= 1.0;
    if (q == 0.0)
        return copysign(0.0, x / y);
    double whole = floor(q);
    return q - whole > 0.5 ? whole + 1.0 : whole;
}

/* exp(x * x), where the rounding error of x * x (T. J. Dekker 1971) would cost |x * x| ulp. */
static double exp_square(double x)
{
    double square = x * x;
    double shifted = VELTKAMP * x;
    double high = shifted - (shifted - x);
    double low = x - high;
    double error = ((high * high - square) + 2.0 * high * low) + low * low;
    return exp(square) * (1.0 + error);
}

double fg_erfcx(double x)
{
    if (x < -27.0)
        return INFINITY;
    if (x < 0.0)
        return 2.0 * exp_square(x) - fg_erfcx(-x);
    if (x < 10.0)
        return exp_square(x) * erfc(x);
    double tail = 0.0; /* Laplace's continued fraction, A&S 7.1.14, DLMF 7.9.1 */
    for (int k = FRACTION_TERMS; k > 0; k--)
        tail = 0.5 * k / (x + tail);
    return INV_SQRT_PI / (x + tail);
}

/* cot(pi * x), reduced to where pi * x and the tangent keep their relative accuracy. */
static double cot_pi(double x)
{
    double r = x - floor(x + 0.5);
    if (fabs(r) <= 0.25)
        return 1.0 / tan(PI * r);
    return copysign(tan(PI * (0.5 - fabs(r))), r);
}

double fg_digamma(double x)
{
    if (x <= 0.0) {
        if (floor(x) == x)
            return x == 0.0 ? -1.0 / x : NAN;
        return fg_digamma(1.0 - x) - PI * cot_pi(x); /* DLMF 5.5.4 */
    }
    double shifts = 0.0; /* DLMF 5.5.2, the small terms first */
    int count = x < ASYMPTOTIC ? (int)ceil(ASYMPTOTIC - x) : 0;
    for (int k = count - 1; k >= 0; k--)
        shifts += 1.0 / (x + k);
    double z = x + count, series = 0.0; /* DLMF 5.11.2 */
    for (int k = BERNOULLI_TERMS; k > 0; k--)
        series = (series + BERNOULLI[k - 1] / (2.0 * k)) / (z * z);
    return log(z) - 0.5 / z - series - shifts;
}

/* The n-th derivative of pi * cot(pi * x): a polynomial in the cotangent, of derivative -pi * (1 + cot ** 2). */
static double pi_cot_derivative(int n, double x)
{
    double coefficient[MAX_ORDER + 2] = {0.0, 1.0};
    double scale = PI;
    for (int order = 0; order < n; order++) {
        for (int k = 0; k <= order + 1; k++)
            coefficient[k] = (k + 1.0) * coefficient[k + 1];
        for (int k = order + 2; k >= 2; k--)
            coefficient[k] += coefficient[k - 2];
        scale *= -PI;
    }
    double cot = cot_pi(x), value = coefficient[n + 1];
    for (int k = n; k >= 0; k--)
        value = value * cot + coefficient[k];
    return scale * value;
}

/* abs(polygamma(n, x)) for n > 0, x > 0, which is n! * zeta(n + 1, x): terms up to where the asymptotic series holds
 * (A&S 6.4.11, DLMF 5.15.8), all relative to (n - 1)! / x**n. */
static double zeta_sum(int n, double x)
{
    double head = 0.0, z = x;
    for (; z < ASYMPTOTIC + n; z += 1.0)
        head += pow(x / z, n + 1.0);
    double term = 1.0, series = 0.0;
    for (int k = 1; k <= BERNOULLI_TERMS; k++) {
        double i = n + 2.0 * k;
        term *= (i - 2.0) * (i - 1.0) / ((2.0 * k - 1.0) * (2.0 * k) * (z * z));
        series += BERNOULLI[k - 1] * term;
    }
    double value = (n / x * head + pow(x / z, n) * (1.0 + (0.5 * n / z + series))) / x;
    for (int k = 1; k < n; k++)
        value *= k / x;
    return value;
}

double fg_polygamma(double n, double x)
{
    if (n == 0.0)
        return fg_digamma(x);
    if (!(n > 0.0 && n <= MAX_ORDER && floor(n) == n) || isnan(x))
        return NAN;
    if (isinf(x))
        return x > 0.0 ? 0.0 : NAN;
    double sign = fmod(n, 2.0) == 0.0 ? -1.0 : 1.0;
    if (x > 0.0)
        return sign * zeta_sum((int)n, x);
    if (floor(x) == x)
        return sign > 0.0 ? INFINITY : x == 0.0 ? -1.0 / x : NAN;
    return -zeta_sum((int)n, 1.0 - x) - pi_cot_derivative((int)n, x); /* DLMF 5.15.6 */
}
