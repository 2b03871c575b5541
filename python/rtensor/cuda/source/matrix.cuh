// What factorisations ask of the elements of a matrix, real or complex; T is their dtype, R that of their parts.

template <typename X> struct PartOf { typedef X type; };
template <typename X> struct PartOf<Complex<X>> { typedef X type; };
typedef PartOf<T>::type R;

template <typename X> INLINE X taxicab(X x) { return fabs(x); }
template <typename X> INLINE X taxicab(Complex<X> x) { return fabs(x.re) + fabs(x.im); }
template <typename X> INLINE X conjugate(X x) { return x; }
template <typename X> INLINE Complex<X> conjugate(Complex<X> x) { return {x.re, -x.im}; }
