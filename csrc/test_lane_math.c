/* Our own functions at special values, as C's annex F has them, and where they promise more than an ulp. How near they
 * come to the exact values, tests/test_lane_math.py measures. */
#include <stdio.h>

#include "lane_math.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static int failures;

static const double SPECIAL[] = {
    0.0, -0.0, 5e-324, -5e-324, 1e-310, -1e-310, 2.2250738585072014e-308, 1e-300, -1e-300, 1e-17, -1e-17, 0.5, -0.5, 1.0,
    -1.0, 1.0000000000000002, 0.9999999999999999, 2.0, -2.0, 2.5, 3.0, -3.0, -745.1, -746.0, 709.78, 709.79, -708.4, 1e5,
    -1e5, 1e6, 9007199254740993.0, 1.8014398509481988e16, 1e19, -1e19, 1e300, -1e300, 1.7976931348623157e308,
    -1.7976931348623157e308, INFINITY, -INFINITY, NAN,
};

/* Whether x is y but for an ulp; zeros with the same sign, infinities and nans alike. */
static int alike(double x, double y)
{
    if (x != x || y != y)
        return x != x && y != y;
    if (x == y)
        return signbit(x) == signbit(y);
    if (isinf(x) || isinf(y) || signbit(x) != signbit(y))
        return 0;
    uint64_t a = fg_bits(x), b = fg_bits(y);
    return (a > b ? a - b : b - a) <= 2; /* libm may be an ulp off as well */
}

static void check(int holds, const char *what, double x, double y)
{
    if (holds)
        return;
    failures++;
    fprintf(stderr, "%s at %a, %a\n", what, x, y);
}

static uint64_t state = 88172645463325252u;

/* A double of any sign and exponent: G. Marsaglia's xorshift, 2003. */
static double any_double(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return fg_from_bits(state);
}

static void test_special_values(void)
{
    static const struct {
        const char *name;
        double (*ours)(double), (*theirs)(double);
    } functions[] = {
        {"exp", fg_exp, exp},       {"expm1", fg_expm1, expm1}, {"log", fg_log, log},   {"log1p", fg_log1p, log1p},
        {"tanh", fg_tanh, tanh},    {"erf", fg_erf, erf},       {"erfc", fg_erfc, erfc}, {"sin", fg_sin, sin},
        {"cos", fg_cos, cos},
    };
    for (size_t i = 0; i < COUNT(functions); i++)
        for (size_t k = 0; k < COUNT(SPECIAL); k++) {
            double x = SPECIAL[k];
            check(alike(functions[i].ours(x), functions[i].theirs(x)), functions[i].name, x, 0.0);
        }
    for (size_t i = 0; i < COUNT(SPECIAL); i++)
        for (size_t k = 0; k < COUNT(SPECIAL); k++)
            check(alike(fg_pow(SPECIAL[i], SPECIAL[k]), pow(SPECIAL[i], SPECIAL[k])), "pow", SPECIAL[i], SPECIAL[k]);
}

static void test_ends_of_ranges(void)
{
    check(fg_ndtr(0.0) == 0.5 && fg_ndtr(-5e-324) == 0.5 && fg_ndtr(5e-324) == 0.5, "ndtr is not a half", 0.0, 0.0);
    check(fg_ndtr(INFINITY) == 1.0 && fg_ndtr(-INFINITY) == 0.0 && isnan(fg_ndtr(NAN)), "ndtr's limits", NAN, 0.0);
    check(fg_exp(709.782712893384) < INFINITY, "exp overflows too early", 709.782712893384, 0.0);
    check(fg_exp(709.7827128933841) == INFINITY, "exp overflows too late", 709.7827128933841, 0.0);
    check(fg_exp(-745.1332191019411) == 5e-324, "exp underflows too early", -745.1332191019411, 0.0);
    check(fg_exp(-745.1332191019412) == 0.0, "exp underflows too late", -745.1332191019412, 0.0);
    check(fg_ndtr(-38.4) > 0.0 && fg_ndtr(-38.7) == 0.0, "ndtr ends elsewhere", -38.5, 0.0);
    check(fg_erfc(27.2) > 0.0 && fg_erfc(27.3) == 0.0, "erfc ends elsewhere", 27.2, 0.0);
    check(fg_tanh(18.0) < 1.0 && fg_tanh(19.1) == 1.0, "tanh ends elsewhere", 19.0, 0.0);
    check(fg_erf(5.8) < 1.0 && fg_erf(6.0) == 1.0, "erf ends elsewhere", 5.9, 0.0);
}

static void test_exact_powers(void)
{
    for (int i = 0; i < 100000; i++) {
        double x = any_double();
        check(alike(fg_pow(x, 0.0), 1.0), "pow(x, 0) is not 1", x, 0.0);
        if (x != x)
            continue;
        check(fg_pow(x, 1.0) == x, "pow(x, 1) is not x", x, 1.0);
        check(fg_pow(x, 2.0) == x * x, "pow(x, 2) is not x * x", x, 2.0);
        check(fg_pow(x, -1.0) == 1.0 / x, "pow(x, -1) is not 1 / x", x, -1.0);
    }
    for (int x = -9; x <= 9; x++)
        for (double y = 1.0, product = x; y <= 16.0; y += 1.0, product *= x)
            check(fg_pow(x, y) == product, "a power of a small whole number is not exact", x, y);
}

static void test_symmetries_and_quick_paths(void)
{
    for (int i = 0; i < 100000; i++) {
        double x = any_double(), y = any_double();
        check(alike(fg_sin(-x), -fg_sin(x)) && alike(fg_cos(-x), fg_cos(x)), "sin or cos lacks its symmetry", x, 0.0);
        check(alike(fg_tanh(-x), -fg_tanh(x)) && alike(fg_erf(-x), -fg_erf(x)), "tanh or erf is not odd", x, 0.0);
        if (!fg_sin_rare(x))
            check(fg_sin_quick(x) == fg_sin(x) && fg_cos_quick(x) == fg_cos(x), "the quick sin or cos differs", x, 0.0);
        if (!fg_pow_rare(x, y))
            check(fg_pow_quick(x, y) == fg_pow(x, y), "the quick pow differs", x, y);
    }
}

int main(void)
{
    test_special_values();
    test_ends_of_ranges();
    test_exact_powers();
    test_symmetries_and_quick_paths();
    return failures != 0;
}
