//! One look at the tensors of a call: whether they must be resolved, whether the call is recorded, and where it runs.

use super::{Args, CROSS_DEVICE, Entry, Value};
use crate::tensor::{Device, Tensor};
use crate::{Result, autograd, fail};

/// What the tensor arguments of a call have in common.
#[derive(Default)]
pub struct Survey {
    /// Does any carry a conjugate or negative bit?
    pub lazy: bool,
    /// Does a gradient flow into any of them while recording is on?
    pub recorded: bool,
    device: Option<Device>,
    /// Dimensions of the tensors seen on `device`, at most.
    dims: usize,
    clash: Option<Device>,
}

impl Survey {
    /// Looks at all tensors; a failed argument raises.
    #[inline]
    pub fn of(entry: &Entry, args: &[Value]) -> Result<Survey> {
        let recording = entry.op.grad.is_some() && autograd::recording();
        let mut survey = Survey::default();
        for value in args {
            match value {
                Value::Tensor(t) => survey.add(t, recording),
                Value::Tensors(list) => list.iter().for_each(|t| survey.add(t, recording)),
                Value::OptTensors(list) => {
                    list.iter().flatten().for_each(|t| survey.add(t, recording));
                }
                Value::Failed(e) => return Err(e.clone()),
                _ => {}
            }
        }
        Ok(survey)
    }

    #[inline]
    fn add(&mut self, t: &Tensor, recording: bool) {
        self.lazy |= t.lazy().any();
        self.recorded |= recording && t.requires_grad();
        let (device, dims) = (t.device(), t.ndim());
        match self.device {
            None => (self.device, self.dims) = (Some(device), dims),
            Some(known) if known == device => self.dims = self.dims.max(dims),
            Some(known) if known.is_cpu() && self.dims == 0 => {
                (self.device, self.dims) = (Some(device), dims);
            }
            Some(_) if device.is_cpu() && dims == 0 => {}
            Some(_) => self.clash = Some(device),
        }
    }

    /// The device that all tensors share; 0-dim CPU tensors go along with any. Without tensors, the `device` argument.
    #[inline]
    pub fn device(&self, entry: &Entry, args: &[Value]) -> Result<Device> {
        if let (true, Some(Value::Tensor(first))) = (entry.has(CROSS_DEVICE), args.first()) {
            return Ok(first.device());
        }
        if let (Some(a), Some(b)) = (self.device, self.clash) {
            fail!(
                Runtime,
                "Expected all tensors to be on the same device, but found at least two devices, {a} and {b}! (when calling {})",
                entry.schema.name
            );
        }
        let asked = entry
            .device_param
            .and_then(|i| Args(args).opt_device(i).ok().flatten());
        Ok(asked
            .or(self.device)
            .unwrap_or_else(crate::tensor::default_device)
            .resolved())
    }
}
