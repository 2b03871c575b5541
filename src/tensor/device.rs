//! Where a tensor's memory lies.

use crate::{Result, fail};

/// The kinds of device PyTorch names that rtensor knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum DeviceType {
    Cpu,
    Cuda,
    Meta,
    /// A backend registered from outside (PyTorch's `privateuseone`).
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Device {
    pub kind: DeviceType,
    /// -1: no index was given.
    pub index: i8,
}

impl Device {
    pub const CPU: Device = Device {
        kind: DeviceType::Cpu,
        index: -1,
    };

    #[inline]
    #[must_use]
    pub fn is_cpu(self) -> bool {
        self.kind == DeviceType::Cpu
    }

    #[must_use]
    pub fn type_name(self) -> &'static str {
        match self.kind {
            DeviceType::Cpu => "cpu",
            DeviceType::Cuda => "cuda",
            DeviceType::Meta => "meta",
            DeviceType::Other => "privateuseone",
        }
    }

    /// Parses `cpu`, `cuda`, `cuda:1`.
    pub fn parse(text: &str) -> Result<Device> {
        let (name, index) = match text.split_once(':') {
            Some((name, index)) => (name, Some(index)),
            None => (text, None),
        };
        let kind = match name {
            "cpu" => DeviceType::Cpu,
            "cuda" => DeviceType::Cuda,
            "meta" => DeviceType::Meta,
            "privateuseone" => DeviceType::Other,
            _ => fail!(
                Runtime,
                "Expected one of cpu, cuda, meta, privateuseone device type at start of device string: {text}"
            ),
        };
        let index = match index {
            None => -1,
            Some(digits) => match digits.parse::<i8>() {
                Ok(n) if n >= 0 && (digits == "0" || !digits.starts_with('0')) => n,
                _ => fail!(Runtime, "Invalid device string: '{text}'"),
            },
        };
        Ok(Device { kind, index })
    }
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.type_name())?;
        if self.index >= 0 {
            write!(f, ":{}", self.index)?;
        }
        Ok(())
    }
}
