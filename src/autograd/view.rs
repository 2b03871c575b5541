//! Differentiable views: they know their base, follow writes to it, and hand writes on to it.

use super::mode::GradMode;
use super::node::Node;
use super::{grad_enabled, inference_enabled};
use crate::tensor::{DType, Layout, Lazy, Tensor};
use crate::{Result, call, fail};

/// How a view came about, which decides whether it may be written while recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    Default,
    /// One of several outputs.
    MultiOutput,
    NoGrad,
    Inference,
    CustomFunction,
}

/// The tensor that a view looks at, so that writes through the view reach its history.
pub struct ViewInfo {
    pub base: Tensor,
    /// Version at which `grad_fn` was made; it is stale once the base was written through another view.
    pub version: u32,
    pub creation: Creation,
}

/// Remembers the base of differentiable views.
pub fn mark_views(source: &Tensor, results: &[Tensor], multiple: bool) {
    if source.is_inference() {
        return;
    }
    let creation = if inference_enabled() {
        Creation::Inference
    } else if !grad_enabled() {
        Creation::NoGrad
    } else if multiple {
        Creation::MultiOutput
    } else {
        Creation::Default
    };
    let (base, inherited) = source
        .with_meta(|m| {
            let info = m?.view.as_ref()?;
            Some((info.base.clone(), info.creation))
        })
        .unwrap_or_else(|| (source.clone(), Creation::Default));
    let creation = if creation == Creation::Default {
        inherited
    } else {
        creation
    };
    for result in results {
        if result.dtype().is_differentiable() == base.dtype().is_differentiable() {
            mark_one(result, base.clone(), creation);
        }
    }
}

fn mark_one(view: &Tensor, base: Tensor, creation: Creation) {
    let version = view.version();
    view.with_meta_mut(|m| {
        m.view = Some(ViewInfo {
            base,
            version,
            creation,
        });
    });
    view.set_view_flag();
}

impl Tensor {
    /// The tensor that this one is a differentiable view of.
    #[must_use]
    pub fn view_base(&self) -> Option<Tensor> {
        self.has_view_flag()
            .then(|| self.with_meta(|m| Some(m?.view.as_ref()?.base.clone())))?
    }

    /// Does gradient flow to the base of this view, and so to the view?
    pub(crate) fn base_requires_grad(&self) -> bool {
        self.view_base().is_some_and(|base| base.requires_grad())
    }

    fn creation(&self) -> Creation {
        self.with_meta(|m| {
            m.and_then(|m| m.view.as_ref())
                .map_or(Creation::Default, |info| info.creation)
        })
    }

    /// Changes how a view may be written; nothing for other tensors.
    pub fn set_creation(&self, creation: Creation) {
        if self.has_view_flag() {
            self.with_meta_mut(|m| {
                if let Some(info) = m.view.as_mut() {
                    info.creation = creation;
                }
            });
        }
    }

    /// The same elements as a view without history, as a user's function returns an input.
    pub fn view_as_self(&self) -> Result<Tensor> {
        self.view_with(self.layout().clone())
    }

    /// A view under another layout that no gradient has to pass yet.
    pub fn view_with(&self, layout: Layout) -> Result<Tensor> {
        let view = self.alias(layout)?;
        mark_views(self, std::slice::from_ref(&view), false);
        Ok(view)
    }
}

/// Regenerates the history of a view whose base was written since.
pub(super) fn refresh(view: &Tensor) -> Result<()> {
    if !view.has_view_flag() {
        return Ok(());
    }
    let version = view.version();
    let stale = view.with_meta(|m| {
        let m = m?;
        let info = m.view.as_ref()?;
        (info.version != version && (m.grad_fn.is_some() || info.base.requires_grad()))
            .then(|| info.base.clone())
    });
    let Some(base) = stale else { return Ok(()) };
    check_creation(view, true)?;
    regenerate(view, &base)
}

pub(super) fn regenerate(view: &Tensor, base: &Tensor) -> Result<()> {
    let fresh = {
        let _mode = GradMode::recording();
        replay(base, &base.into(), &view.into(), view.layout().offset)?
    };
    let edge = fresh.with_meta(|m| {
        let m = m?;
        Some((m.grad_fn.clone()?, m.output))
    });
    let (node, output) = edge.unwrap_or_else(|| {
        // The base has no history: gradients end here.
        (Node::dead_end("AsStridedBackward0", view), 0)
    });
    view.set_history(&node, output);
    let version = view.version();
    view.with_meta_mut(|m| {
        if let Some(info) = m.view.as_mut() {
            info.version = version;
        }
    });
    Ok(())
}

/// How a tensor lies over its storage.
pub(super) struct Geometry {
    pub layout: Layout,
    pub dtype: DType,
    pub lazy: Lazy,
}

impl From<&Tensor> for Geometry {
    fn from(t: &Tensor) -> Geometry {
        Geometry {
            layout: t.layout().clone(),
            dtype: t.dtype(),
            lazy: t.lazy(),
        }
    }
}

/// The part of `source` (shaped as `base`) that `view` is of `base`; `offset` is in elements of the view.
pub(super) fn replay(
    source: &Tensor,
    base: &Geometry,
    view: &Geometry,
    offset: i64,
) -> Result<Tensor> {
    let (from, to) = (base.dtype.is_complex(), view.dtype.is_complex());
    let layout = &view.layout;
    let mut now = source.clone();
    if from && !to {
        if base.lazy.conj {
            now = call!("conj", now)?;
        }
        now = call!("view_as_real", now)?;
    }
    if !from && to {
        let mut shape = layout.shape.to_vec();
        let mut strides: Vec<i64> = layout.strides.iter().map(|s| s * 2).collect();
        shape.push(2);
        strides.push(1);
        now = call!("as_strided", now, shape, strides, offset * 2)?;
        now = call!("view_as_complex", now)?;
    } else {
        now = call!(
            "as_strided",
            now,
            &layout.shape[..],
            &layout.strides[..],
            offset
        )?;
    }
    if from == to && base.lazy.conj != view.lazy.conj {
        now = call!("conj", now)?;
    }
    if base.lazy.neg != view.lazy.neg {
        now = call!("_neg_view", now)?;
    }
    Ok(now)
}

/// Views of some origins may not be written while recording.
pub(super) fn check_creation(view: &Tensor, indirect: bool) -> Result<()> {
    let creation = view.creation();
    if creation == Creation::Default {
        return Ok(());
    }
    let touched = if indirect {
        "its base or another view of its base has been"
    } else {
        "is being"
    };
    let made_by = view.with_meta(|m| {
        let m = m?;
        let node = m.grad_fn.as_ref()?;
        Some(format!("Output {} of {}", m.output, node.full_name()))
    });
    let block = match creation {
        Creation::NoGrad => Some(("no_grad mode", "with grad mode enabled")),
        Creation::Inference => Some(("inference mode", "in normal mode")),
        _ => None,
    };
    let head = match (made_by, block) {
        (Some(text), Some((mode, now))) => format!(
            "{text} is a view of a view which was created in {mode} and {touched} modified inplace {now}. "
        ),
        (Some(text), None) => format!("{text} is a view and {touched} modified inplace. "),
        (None, block) => {
            let (mode, now) = block.unwrap_or(("no_grad mode", "with grad mode enabled"));
            format!("A view was created in {mode} and {touched} modified inplace {now}. ")
        }
    };
    fail!(Runtime, "{head}{}", creation_advice(creation))
}

fn creation_advice(creation: Creation) -> String {
    let block = match creation {
        Creation::Default => return String::new(),
        Creation::MultiOutput => {
            return "This view is the output of a function that returns multiple views. Such functions do not allow the output views to be modified inplace. You should replace the inplace operation by an out-of-place one.".into();
        }
        Creation::CustomFunction => {
            return "This view was created inside a custom Function (or because an input was returned as-is) and the autograd logic to handle view+inplace would override the custom backward associated with the custom Function, leading to incorrect gradients. This behavior is forbidden. You can fix this by cloning the output of the custom Function.".into();
        }
        Creation::NoGrad => "no_grad",
        Creation::Inference => "inference_mode",
    };
    format!(
        "Given that this use case is ambiguous and error-prone, it is forbidden. You can clarify your code by moving both the view and the inplace either both inside the {block} block (if you don't want the inplace to be tracked) or both outside (if you want the inplace to be tracked)."
    )
}
