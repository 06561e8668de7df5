// The functions that rules use, as C has them: the twin of _ieee.py and _special.py, with the same algorithms.
// A&S is Abramowitz and Stegun, Handbook of Mathematical Functions; DLMF is NIST's.
"use strict";

const functionsOfRules = (() => {
  const { abs, exp, floor, log, PI: pi, pow, tan } = Math;
  const inverseSqrtPi = 0.5641895835477563;
  const inverseSqrt2 = 0.7071067811865476;
  const inverseSqrt2Rest = -4.833646656726457e-17;
  const veltkamp = 134217729.0; // 2**27 + 1 splits a double into two halves of 26 bits
  const erfSwitch = 1.25; // below, the series; above, the continued fraction
  const fractionTerms = 200; // full precision from erfSwitch on
  const asymptotic = 10.0; // the asymptotic series have full precision for x >= asymptotic + n
  const maxOrder = 170; // factorials beyond it are not doubles
  const halfLog2Pi = 0.9189385332046727;

  // B(2), B(4), ...: DLMF 24.2, table 24.2.1.
  const bernoulli = [1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798];

  const isNegative = (x) => x < 0.0 || Object.is(x, -0.0);
  const copysign = (x, y) => (isNegative(x) === isNegative(y) ? x : -x);

  // ----------------------------------------------------------------------------------------------------- remainders

  const fmod = (x, y) => x % y;

  function mod(x, y) {
    const rest = x % y;
    if (rest === 0.0) return copysign(0.0, y);
    return rest < 0.0 === y < 0.0 || rest !== rest ? rest : rest + y;
  }

  function floordiv(x, y) {
    if (y === 0.0 || !Number.isFinite(x)) return y === 0.0 ? x / y : NaN;
    const rest = x % y;
    let quotient = (x - rest) / y;
    if (rest !== 0.0 && rest < 0.0 !== y < 0.0) quotient -= 1.0;
    if (quotient === 0.0) return copysign(0.0, x / y);
    const whole = floor(quotient);
    return quotient - whole > 0.5 ? whole + 1.0 : whole;
  }

  // As C has it; JavaScript gives nan for 1 to the power of an infinity or of nan.
  const power = (x, y) => (x === 1.0 || (x === -1.0 && abs(y) === Infinity) ? 1.0 : pow(x, y));

  // ------------------------------------------------------------------------------------------------ error functions

  function halves(x) {
    const shifted = veltkamp * x;
    const high = shifted - (shifted - x);
    return [high, x - high];
  }

  // x * y - product, exactly, where product is x * y rounded (T. J. Dekker 1971).
  function productError(x, y, product) {
    const [xHigh, xLow] = halves(x);
    const [yHigh, yLow] = halves(y);
    return xHigh * yHigh - product + xHigh * yLow + xLow * yHigh + xLow * yLow;
  }

  // exp(sign * x * x), where the rounding error of x * x would cost abs(x * x) ulp.
  function expSquare(x, sign) {
    const square = x * x;
    if (square > 1e4) return sign > 0.0 ? Infinity : 0.0;
    return exp(sign * square) * (1.0 + sign * productError(x, x, square));
  }

  // A&S 7.1.6: all terms have one sign.
  function erfSeries(x) {
    let term = x;
    let sum = x;
    for (let n = 1; abs(term) > 1e-17 * abs(sum); n++) {
      term *= (2.0 * x * x) / (2.0 * n + 1.0);
      sum += term;
    }
    return 2.0 * inverseSqrtPi * expSquare(x, -1.0) * sum;
  }

  // exp(x * x) * erfc(x) for x >= erfSwitch: Laplace's continued fraction, A&S 7.1.14, DLMF 7.9.1.
  function erfcxFraction(x) {
    let tail = 0.0;
    for (let k = fractionTerms; k > 0; k--) tail = (0.5 * k) / (x + tail);
    return inverseSqrtPi / (x + tail);
  }

  function erfc(x) {
    if (x !== x) return x;
    if (abs(x) < erfSwitch) return 1.0 - erfSeries(x);
    const tail = expSquare(x, -1.0) * erfcxFraction(abs(x));
    return x < 0.0 ? 2.0 - tail : tail;
  }

  function erf(x) {
    return abs(x) < erfSwitch ? erfSeries(x) : copysign(1.0, x) * (1.0 - erfc(abs(x)));
  }

  function erfcx(x) {
    if (x < -27.0) return Infinity;
    if (x < 0.0) return 2.0 * expSquare(x, 1.0) - erfcx(-x);
    return x < erfSwitch ? expSquare(x, 1.0) * erfc(x) : erfcxFraction(x);
  }

  // The normal distribution function, erfc(-x / sqrt(2)) / 2.
  function ndtr(x) {
    const y = inverseSqrt2 * x;
    if (!(abs(y) <= 30.0)) return 0.5 * erfc(-y);
    const error = productError(inverseSqrt2, x, y) + inverseSqrt2Rest * x;
    return 0.5 * erfc(-y) + inverseSqrtPi * exp(-(y * y)) * error;
  }

  // ----------------------------------------------------------------------------------------------- gamma functions

  // cot(pi * x), reduced to where pi * x and the tangent keep their relative accuracy.
  function cotPi(x) {
    const r = x - floor(x + 0.5);
    return abs(r) <= 0.25 ? 1.0 / tan(pi * r) : copysign(tan(pi * (0.5 - abs(r))), r);
  }

  // log(abs(gamma(x))): Stirling's series (DLMF 5.11.1), after a step up where x is small (DLMF 5.5.1).
  function lgamma(x) {
    if (x !== x) return x;
    if (!Number.isFinite(x) || (x <= 0.0 && floor(x) === x)) return Infinity;
    if (x < 0.5) return log(pi / abs(Math.sin(pi * (x - floor(x))))) - lgamma(1.0 - x); // DLMF 5.5.3
    let product = 1.0;
    let z = x;
    for (; z < asymptotic; z += 1.0) product *= z;
    let series = 0.0;
    for (let k = bernoulli.length; k > 0; k--) {
      series = series / (z * z) + bernoulli[k - 1] / (2.0 * k * (2.0 * k - 1.0));
    }
    return (z - 0.5) * log(z) - z + halfLog2Pi + series / z - log(product);
  }

  function digamma(x) {
    if (x <= 0.0) {
      if (!Number.isFinite(x) || floor(x) === x) return x === 0.0 ? copysign(Infinity, -x) : NaN;
      return digamma(1.0 - x) - pi * cotPi(x); // DLMF 5.5.4
    }
    const count = x < asymptotic ? Math.ceil(asymptotic - x) : 0;
    let shifts = 0.0; // DLMF 5.5.2, the small terms first
    for (let k = count - 1; k >= 0; k--) shifts += 1.0 / (x + k);
    const z = x + count;
    let series = 0.0; // DLMF 5.11.2
    for (let k = bernoulli.length; k > 0; k--) series = (series + bernoulli[k - 1] / (2.0 * k)) / (z * z);
    return log(z) - 0.5 / z - series - shifts;
  }

  // The n-th derivative of pi * cot(pi * x): a polynomial in the cotangent, of derivative -pi * (1 + cot**2).
  function piCotDerivative(n, x) {
    let coefficients = [0.0, 1.0];
    let scale = pi;
    for (let i = 0; i < n; i++) {
      const next = new Array(coefficients.length + 1).fill(0.0);
      coefficients.forEach((c, k) => {
        if (k > 0) next[k - 1] += k * c;
        next[k + 1] += k * c;
      });
      coefficients = next;
      scale *= -pi;
    }
    const cot = cotPi(x);
    return scale * coefficients.reduceRight((value, c) => value * cot + c, 0.0);
  }

  // abs(polygamma(n, x)) for n > 0, x > 0, which is n! * zeta(n + 1, x): terms up to where the asymptotic series holds
  // (A&S 6.4.11, DLMF 5.15.8), all relative to (n - 1)! / x**n.
  function zetaSum(n, x) {
    let head = 0.0;
    let z = x;
    for (; z < asymptotic + n; z += 1.0) head += pow(x / z, n + 1.0);
    let term = 1.0;
    let series = 0.0;
    bernoulli.forEach((b, j) => {
      const k = j + 1;
      const i = n + 2.0 * k;
      term *= ((i - 2.0) * (i - 1.0)) / ((2.0 * k - 1.0) * (2.0 * k) * (z * z));
      series += b * term;
    });
    let value = ((n / x) * head + pow(x / z, n) * (1.0 + ((0.5 * n) / z + series))) / x;
    for (let k = 1; k < n; k++) value *= k / x;
    return value;
  }

  function polygamma(n, x) {
    if (n === 0.0) return digamma(x);
    if (!(n > 0.0 && n <= maxOrder && floor(n) === n) || x !== x) return NaN;
    if (!Number.isFinite(x)) return x > 0.0 ? 0.0 : NaN;
    const sign = n % 2.0 === 0.0 ? -1.0 : 1.0;
    if (x > 0.0) return sign * zetaSum(n, x);
    if (floor(x) === x) return sign > 0.0 ? Infinity : x === 0.0 ? copysign(Infinity, -x) : NaN;
    return -zetaSum(n, 1.0 - x) - piCotDerivative(n, x); // DLMF 5.15.6
  }

  return {
    ...Object.fromEntries(Object.getOwnPropertyNames(Math).map((name) => [name, Math[name]])),
    ...{ fmod, mod, floordiv, pow: power, exp2: (x) => pow(2.0, x) },
    ...{ erf, erfc, erfcx, ndtr, lgamma, digamma, polygamma },
  };
})();
