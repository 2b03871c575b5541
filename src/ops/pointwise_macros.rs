//! The macro that declares pointwise ops.

/// Declares pointwise ops: doc, schema, variants, then kind, lanes, the kernel's name and the formula;
/// options in this order: `untyped n`, `check f`, `before f`, `choose f`, `wild angles` or `wild quotients`, `grad (g, operands.., result; params..) => [one per operand]`.
#[macro_export]
macro_rules! pointwise {
    ($(
        $(#[doc = $doc:literal])+
        $schema:literal, $variants:expr,
        $kind:ident $lanes:ident $kernel:literal $args:tt => $body:expr
        $(, untyped $untyped:literal)? $(, check $check:expr)? $(, before $before:expr)? $(, choose $choose:expr)?
        $(, wild $trig:ident)?
        $(, grad $gargs:tt $(as $name:literal)? => [$($grad:expr),+ $(,)?])?;
    )*) => {
        pub static OPS: &[$crate::ops::Op] = &[$({
            struct This;
            $crate::formula!(This $kind $lanes [$($trig)?] $args $body);
            impl $crate::ops::pointwise::Pointwise for This {
                const SPEC: $crate::ops::pointwise::Spec = $crate::ops::pointwise::Spec {
                    kernel: $kernel,
                    kind: $crate::formula!(@kind $kind),
                    operands: $crate::formula!(@operands $args),
                    untyped: 0usize $(+ $untyped)?,
                    params: $crate::formula!(@params $args),
                    formula: $crate::formula!(@written $kind $lanes This, $args),
                    grain: $crate::formula!(@grain $lanes),
                    check: $crate::formula!(@option $($check)?),
                    before: $crate::formula!(@option $($before)?),
                    choose: $crate::formula!(@option $($choose)?),
                };
            }
            $crate::ops::Op {
                schema: $schema,
                doc: concat!($($doc, "\n"),+),
                variants: $variants | $crate::ops::STRIDED,
                body: $crate::ops::Body::Pointwise(&<This as $crate::ops::pointwise::Pointwise>::SPEC),
                grad: $crate::formula!(@grad This $lanes [$($trig)?] $([$($name)?] $gargs [$($grad),+])?),
            }
        }),*];
    };
}

/// The parts of a declaration; see [`pointwise!`].
#[macro_export]
macro_rules! formula {
    ($this:ident $kind:ident $lanes:ident [$($trig:ident)?] ($($x:ident),+ $(; $($p:ident),+)?) $body:expr) => {
        #[inline(always)]
        #[allow(unused_variables)]
        fn formula<E: $crate::cpu::lanes::$lanes>(
            [$($x),+]: [E; $crate::formula!(@count $($x)+)],
            [$($($p),+)?]: [E; $crate::formula!(@count $($($p)+)?)],
        ) -> $crate::formula!(@result $kind E) {
            $body
        }
        impl<E: $crate::cpu::lanes::$lanes<Mask = bool>>
            $crate::cpu::pointwise::Map<E, { $crate::formula!(@count $($x)+) }, { $crate::formula!(@count $($($p)+)?) }> for $this
        {
            type Out = $crate::formula!(@out $kind E);
            const SHORT: bool = $crate::formula!(@short $lanes);
            #[inline(always)]
            fn at(
                x: [E; $crate::formula!(@count $($x)+)],
                p: [E; $crate::formula!(@count $($($p)+)?)],
            ) -> Self::Out {
                $crate::formula!(@wrap $kind formula(x, p))
            }
            $crate::formula!(@trig [$($trig)?] E, $crate::formula!(@count $($x)+), $crate::formula!(@count $($($p)+)?));
        }
    };
    (@trig [] $E:ident, $n:expr, $p:expr) => {};
    (@trig [angles] $E:ident, $n:expr, $p:expr) => {
        #[inline(always)]
        fn is_wild(x: [$E; $n]) -> bool {
            x.into_iter().fold(false, |any, x| any | $crate::cpu::lanes::Field::is_wild(x))
        }
        fn at_wild(x: [$E; $n], p: [$E; $p]) -> $E {
            let exact = $crate::cpu::lanes::Field::exact;
            $crate::cpu::lanes::Field::inexact(formula(x.map(exact), p.map(exact)))
        }
    };
    (@trig [quotients] $E:ident, $n:expr, $p:expr) => {
        #[inline(always)]
        fn is_wild([a, b]: [$E; $n]) -> bool {
            $crate::cpu::lanes::Divided::is_far(a, b)
        }
        fn at_wild(x: [$E; $n], p: [$E; $p]) -> $E {
            let slow = $crate::cpu::lanes::Divided::slow;
            $crate::cpu::lanes::Divided::from_slow(formula(x.map(slow), p.map(slow)))
        }
    };
    (@count) => { 0usize };
    (@count $head:ident $($tail:ident)*) => { 1usize + $crate::formula!(@count $($tail)*) };
    (@operands ($($x:ident),+ $(; $($p:ident),+)?)) => { $crate::formula!(@count $($x)+) };
    (@params ($($x:ident),+ $(; $($p:ident),+)?)) => { $crate::formula!(@count $($($p)+)?) };
    (@kind keep) => { $crate::ops::pointwise::Kind::Keep };
    (@kind float) => { $crate::ops::pointwise::Kind::Float };
    (@kind whole) => { $crate::ops::pointwise::Kind::Whole };
    (@kind float_mask) => { $crate::ops::pointwise::Kind::FloatMask };
    (@kind mask) => { $crate::ops::pointwise::Kind::Mask };
    (@result mask $E:ident) => { <$E as $crate::cpu::lanes::Num>::Mask };
    (@result float_mask $E:ident) => { <$E as $crate::cpu::lanes::Num>::Mask };
    (@result $kind:ident $E:ident) => { $E };
    (@out mask $E:ident) => { $crate::cpu::lanes_int::Flag };
    (@out float_mask $E:ident) => { $crate::cpu::lanes_int::Flag };
    (@out $kind:ident $E:ident) => { $E };
    (@wrap mask $value:expr) => { $crate::cpu::lanes_int::Flag::new($value) };
    (@wrap float_mask $value:expr) => { $crate::cpu::lanes_int::Flag::new($value) };
    (@wrap $kind:ident $value:expr) => { $value };
    (@option) => { None };
    (@option $value:expr) => { Some($value) };
    (@short Num) => { true };
    (@short Ordered) => { true };
    (@short Int) => { true };
    (@short Light) => { true };
    (@short $lanes:ident) => { false };
    (@grain Light) => { $crate::cpu::pool::grain::POINTWISE };
    (@grain Num) => { $crate::cpu::pool::grain::POINTWISE };
    (@grain Ordered) => { $crate::cpu::pool::grain::POINTWISE };
    (@grain Int) => { $crate::cpu::pool::grain::POINTWISE };
    (@grain $lanes:ident) => { $crate::cpu::pool::grain::MATH };
    (@run $f:ty, $t:ty, $n:expr, $p:expr) => {
        Some($crate::cpu::pointwise::run::<$f, $t, { $n }, { $p }> as $crate::cpu::pointwise::Run)
    };
    (@plain $f:ty, $t:ty, $n:expr, $p:expr) => {
        Some($crate::cpu::pointwise::run_plain::<$f, $t, { $n }, { $p }> as $crate::cpu::pointwise::Run)
    };
    // Only formulas so short that conversions beside them would show.
    (@halves mask $lanes:ident $f:ty, $n:expr, $p:expr) => { None };
    (@halves float_mask $lanes:ident $f:ty, $n:expr, $p:expr) => { None };
    (@halves $kind:ident Num $f:ty, $n:expr, $p:expr) => { $crate::formula!(@run_halves $f, $n, $p) };
    (@halves $kind:ident Ordered $f:ty, $n:expr, $p:expr) => { $crate::formula!(@run_halves $f, $n, $p) };
    (@halves $kind:ident Light $f:ty, $n:expr, $p:expr) => { $crate::formula!(@run_halves $f, $n, $p) };
    (@halves $kind:ident $lanes:ident $f:ty, $n:expr, $p:expr) => { None };
    (@run_halves $f:ty, $n:expr, $p:expr) => {
        Some($crate::cpu::pointwise_halves::run::<$f, { $n }, { $p }> as $crate::cpu::pointwise::Run)
    };
    (@written $kind:ident $lanes:ident $f:ty, $args:tt) => {
        $crate::ops::pointwise::Formula {
            halves: $crate::formula!(@halves $kind $lanes $f, $crate::formula!(@operands $args), $crate::formula!(@params $args)),
            loops: $crate::formula!(@loops $lanes $f, $crate::formula!(@operands $args), $crate::formula!(@params $args)),
            tree: $crate::tree!(formula(
                std::array::from_fn($crate::ops::expr::Expr::input),
                std::array::from_fn(|i| $crate::ops::expr::Expr::input($crate::formula!(@operands $args) + i)),
            )),
        }
    };
    // In the order of `Loops`; what is missing is computed in a wider type.
    (@loops Real $f:ty, $n:expr, $p:expr) => {
        [
            $crate::formula!(@run $f, f32, $n, $p),
            $crate::formula!(@run $f, f64, $n, $p),
            None, None, None, None, None, None, None,
        ]
    };
    (@loops Wide $f:ty, $n:expr, $p:expr) => {
        [None, $crate::formula!(@run $f, f64, $n, $p), None, None, None, None, None, None, None]
    };
    (@loops Rare $f:ty, $n:expr, $p:expr) => {
        [None, $crate::formula!(@plain $f, f64, $n, $p), None, None, None, None, None, None, None]
    };
    (@loops Light $f:ty, $n:expr, $p:expr) => {
        [
            $crate::formula!(@run $f, f32, $n, $p),
            $crate::formula!(@run $f, f64, $n, $p),
            $crate::formula!(@run $f, $crate::tensor::c128, $n, $p),
            None, None, None, None, None,
            $crate::formula!(@run $f, $crate::tensor::c64, $n, $p),
        ]
    };
    (@loops Field $f:ty, $n:expr, $p:expr) => {
        [
            $crate::formula!(@run $f, f32, $n, $p),
            $crate::formula!(@run $f, f64, $n, $p),
            $crate::formula!(@plain $f, $crate::tensor::c128, $n, $p),
            None, None, None, None, None, None,
        ]
    };
    (@loops Int $f:ty, $n:expr, $p:expr) => {
        [
            None, None, None,
            $crate::formula!(@run $f, std::num::Wrapping<i64>, $n, $p),
            $crate::formula!(@run $f, std::num::Wrapping<i32>, $n, $p),
            $crate::formula!(@run $f, std::num::Wrapping<i16>, $n, $p),
            $crate::formula!(@run $f, std::num::Wrapping<i8>, $n, $p),
            $crate::formula!(@run $f, std::num::Wrapping<u8>, $n, $p),
            None,
        ]
    };
    (@loops Factored $f:ty, $n:expr, $p:expr) => {
        [
            None, None, None,
            $crate::formula!(@plain $f, std::num::Wrapping<i64>, $n, $p),
            None, None, None, None, None,
        ]
    };
    (@loops Ordered $f:ty, $n:expr, $p:expr) => {
        [
            $crate::formula!(@run $f, f32, $n, $p),
            $crate::formula!(@run $f, f64, $n, $p),
            None,
            $crate::formula!(@run $f, std::num::Wrapping<i64>, $n, $p),
            $crate::formula!(@run $f, std::num::Wrapping<i32>, $n, $p),
            $crate::formula!(@run $f, std::num::Wrapping<i16>, $n, $p),
            $crate::formula!(@run $f, std::num::Wrapping<i8>, $n, $p),
            $crate::formula!(@run $f, std::num::Wrapping<u8>, $n, $p),
            None,
        ]
    };
    (@loops Divided $f:ty, $n:expr, $p:expr) => {
        [
            $crate::formula!(@run $f, f32, $n, $p),
            $crate::formula!(@run $f, f64, $n, $p),
            None,
            $crate::formula!(@plain $f, std::num::Wrapping<i64>, $n, $p),
            $crate::formula!(@run $f, std::num::Wrapping<i32>, $n, $p),
            $crate::formula!(@run $f, std::num::Wrapping<i16>, $n, $p),
            $crate::formula!(@run $f, std::num::Wrapping<i8>, $n, $p),
            $crate::formula!(@run $f, std::num::Wrapping<u8>, $n, $p),
            None,
        ]
    };
    (@loops Num $f:ty, $n:expr, $p:expr) => {
        [
            $crate::formula!(@run $f, f32, $n, $p),
            $crate::formula!(@run $f, f64, $n, $p),
            $crate::formula!(@run $f, $crate::tensor::c128, $n, $p),
            $crate::formula!(@run $f, std::num::Wrapping<i64>, $n, $p),
            $crate::formula!(@run $f, std::num::Wrapping<i32>, $n, $p),
            $crate::formula!(@run $f, std::num::Wrapping<i16>, $n, $p),
            $crate::formula!(@run $f, std::num::Wrapping<i8>, $n, $p),
            $crate::formula!(@run $f, std::num::Wrapping<u8>, $n, $p),
            $crate::formula!(@run $f, $crate::tensor::c64, $n, $p),
        ]
    };
    (@grad $this:ident $lanes:ident $trig:tt) => { None };
    (@grad $this:ident $lanes:ident $trig:tt [$($name:literal)?] $gargs:tt [$($grad:expr),+]) => {{
        impl $crate::ops::pointwise::Differentiable for $this {
            const DERIVATIVES: &'static [$crate::ops::pointwise::Formula] =
                &[$($crate::derivative!($lanes $trig $gargs $grad)),+];
        }
        Some($crate::ops::Grad {
            name: concat!("", $($name)?),
            save: u32::MAX,
            rule: $crate::ops::pointwise_grad::rule::<$this>,
            uses: Some($crate::ops::pointwise_grad::uses::<$this>),
        })
    }};
}

/// The gradient of one operand: fused loops for real floats; complex gradients are carried out op by op.
#[macro_export]
macro_rules! derivative {
    (@at $lanes:ident $loops:ident $trig:tt $gargs:tt $grad:expr) => {{
        struct Rule;
        $crate::formula!(Rule keep $lanes $trig $gargs $grad);
        $crate::formula!(@written keep $loops Rule, $gargs)
    }};
    (Num $trig:tt $gargs:tt $grad:expr) => { $crate::derivative!(@at Field Real $trig $gargs $grad) };
    (Light $trig:tt $gargs:tt $grad:expr) => { $crate::derivative!(@at Field Real $trig $gargs $grad) };
    (Field $trig:tt $gargs:tt $grad:expr) => { $crate::derivative!(@at Field Real $trig $gargs $grad) };
    (Wide $trig:tt $gargs:tt $grad:expr) => { $crate::derivative!(@at Real Wide $trig $gargs $grad) };
    (Rare $trig:tt $gargs:tt $grad:expr) => { $crate::derivative!(@at Real Rare $trig $gargs $grad) };
    (Divided $trig:tt $gargs:tt $grad:expr) => { $crate::derivative!(@at Real Wide [] $gargs $grad) };
    ($lanes:ident $trig:tt $gargs:tt $grad:expr) => { $crate::derivative!(@at Real Real $trig $gargs $grad) };
}
