"""Short-time Fourier transforms."""

from rtensor import _C
from rtensor._C import Tensor

__all__ = ["istft", "stft"]


def _fft(name: str):
    return _C._namespaces["fft"][name]


def _window(window, win_length: int, n_fft: int, like: Tensor, name: str) -> Tensor | None:
    """The window with zeros around it up to the size of the transform."""
    if window is not None and (window.dim() != 1 or window.shape[0] != win_length):
        raise RuntimeError(
            f"{name}: expected a 1D window tensor of size equal to win_length={win_length}, "
            f"but got window with size {list(window.shape)}"
        )
    if win_length == n_fft:
        return window
    if window is None:
        window = _C.ones(win_length, dtype=like.dtype.to_real(), device=like.device)
    left = (n_fft - win_length) // 2
    return _C.constant_pad_nd(window, (left, n_fft - win_length - left))


def stft(
    input,
    n_fft,
    hop_length=None,
    win_length=None,
    window=None,
    center=True,
    pad_mode="reflect",
    normalized=False,
    onesided=None,
    return_complex=None,
    align_to_window=None,
) -> Tensor:
    """The Fourier transforms of overlapping frames of a signal.

    Parameters
    ----------
    input : Tensor
        A signal, or signals in rows.
    n_fft : int
        The size of a frame.
    hop_length : int, optional
        The distance of frames; a quarter of their size, unless given.
    win_length : int, optional
        The size of the window; that of the frame, unless given.
    window : Tensor, optional
        What frames are multiplied with.
    center : bool, default True
        Whether frames are centred at their positions, with padding at the ends.
    pad_mode : str, default "reflect"
        How the ends are padded.
    normalized : bool, default False
        Whether to divide by the root of the frame's size.
    onesided : bool, optional
        Whether to leave out the frequencies that mirror others; so for real signals, unless given.
    return_complex : bool, optional
        Whether the result is complex, or holds real and imaginary parts in a last dimension.
    align_to_window : bool, optional
        Whether frames that are not centred start where the window does.
    """
    if center:
        if align_to_window is not None:
            raise RuntimeError("stft align_to_window should only be set when center = false")
        pad, lead = n_fft // 2, [1] * (3 - input.dim())
        padded = _C._namespaces["nn.functional"]["pad"](input.reshape(*lead, *input.shape), [pad, pad], pad_mode)
        input = padded.reshape(padded.shape[len(lead) :])
    hop_length = n_fft // 4 if hop_length is None else hop_length
    win_length = n_fft if win_length is None else win_length
    _check_stft(input, n_fft, hop_length, win_length)
    is_complex = input.is_complex() or (window is not None and window.is_complex())
    if return_complex is None:
        if not is_complex:
            raise RuntimeError("stft requires the return_complex parameter be given for real inputs.")
        return_complex = True
    window = _window(window, win_length, n_fft, input, "stft")
    onesided = not is_complex if onesided is None else onesided
    if onesided and is_complex:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    batch = input if input.dim() == 2 else input.unsqueeze(0)
    frames = batch.unfold(1, n_fft, hop_length)
    if window is not None:
        frames = frames * window
    transform = _fft("rfft" if onesided else "fft")
    result = transform(frames, None, -1, "ortho" if normalized else None).transpose(1, 2)
    result = result if input.dim() == 2 else result.squeeze(0)
    return result if return_complex else _C.view_as_real(result)


def _check_stft(input: Tensor, n_fft: int, hop_length: int, win_length: int) -> None:
    if not input.is_floating_point() and not input.is_complex():
        raise RuntimeError("stft: expected a tensor of floating point or complex values")
    if input.dim() not in (1, 2):
        raise RuntimeError(f"stft: expected a 1D or 2D tensor, but got {input.dim()}D tensor")
    if not 0 < n_fft <= input.shape[-1]:
        raise RuntimeError(f"stft: expected 0 < n_fft < {input.shape[-1]}, but got n_fft={n_fft}")
    if hop_length <= 0:
        raise RuntimeError(f"stft: expected hop_length > 0, but got hop_length={hop_length}")
    if not 0 < win_length <= n_fft:
        raise RuntimeError(f"stft: expected 0 < win_length <= n_fft, but got win_length={win_length}")


def istft(
    input,
    n_fft,
    hop_length=None,
    win_length=None,
    window=None,
    center=True,
    normalized=False,
    onesided=None,
    length=None,
    return_complex=False,
) -> Tensor:
    """The signal that has given short-time Fourier transforms.

    Parameters
    ----------
    input : Tensor
        What `stft` gave: (batch,) frequencies and frames.
    n_fft, hop_length, win_length, window, center, normalized, onesided
        As they were for `stft`.
    length : int, optional
        The length of the signal.
    return_complex : bool, default False
        Whether the signal is complex.
    """
    hop_length = n_fft // 4 if hop_length is None else hop_length
    win_length = n_fft if win_length is None else win_length
    onesided = (input.shape[-2] != n_fft) if onesided is None else onesided
    _check_istft(input, n_fft, hop_length, win_length, onesided, return_complex)
    window = _window(window, win_length, n_fft, input, "istft")
    if window is None:
        window = _C.ones(n_fft, dtype=input.dtype.to_real(), device=input.device)
    spectra = (input if input.dim() == 3 else input.unsqueeze(0)).transpose(1, 2)
    norm = "ortho" if normalized else None
    if return_complex:
        frames = _fft("ifft")(spectra, None, -1, norm)
    else:
        spectra = spectra if onesided else spectra[..., : n_fft // 2 + 1]
        frames = _fft("irfft")(spectra, n_fft, -1, norm)
    signal = _overlap(frames * window, hop_length)
    envelope = _overlap(window.square().expand(1, frames.shape[1], n_fft), hop_length)
    start = n_fft // 2 if center else 0
    total = signal.shape[1]
    end = start + length if length is not None else total - n_fft // 2 if center else total
    signal, envelope = signal[:, start:end], envelope[:, start:end]
    if float(envelope.abs().min()) <= 1e-11:
        raise RuntimeError("istft: window overlap add min: 0")
    signal = signal / envelope
    if end > total:
        signal = _C.constant_pad_nd(signal, (0, end - total))
    return signal if input.dim() == 3 else signal.squeeze(0)


def _overlap(frames: Tensor, hop: int) -> Tensor:
    """The sum of frames that start a hop apart."""
    batch, count, size = frames.shape
    total = size + hop * (count - 1)
    at = _C.arange(count).unsqueeze(1) * hop + _C.arange(size)
    zeros = _C.zeros((batch, total), dtype=frames.dtype, device=frames.device)
    return zeros.index_add(1, at.flatten().to(frames.device), frames.reshape(batch, -1))


def _check_istft(input, n_fft, hop_length, win_length, onesided, return_complex) -> None:
    if not input.is_complex():
        raise RuntimeError(
            "istft requires a complex-valued input tensor matching the output from stft with return_complex=True."
        )
    if input.numel() == 0:
        raise RuntimeError("istft: input tensor cannot be empty")
    if input.dim() not in (2, 3):
        raise RuntimeError(f"istft: expected a tensor with 3 or 4 dimensions, but got {input.dim() + 1}")
    if onesided and input.shape[-2] != n_fft // 2 + 1:
        raise RuntimeError(
            "istft: expected the frequency dimension (3rd to the last) of the input tensor to match n_fft / 2 + 1 when "
            f"onesided=True, but got {input.shape[-2]}"
        )
    if not onesided and input.shape[-2] != n_fft:
        raise RuntimeError(
            "istft: expected the frequency dimension (3rd to the last) of the input tensor to match n_fft when "
            f"onesided=False, but got {input.shape[-2]}"
        )
    if not 0 < hop_length <= win_length:
        raise RuntimeError("istft: expected 0 < hop_length <= win_length")
    if not 0 < win_length <= n_fft:
        raise RuntimeError("istft: expected 0 < win_length <= n_fft")
    if return_complex and onesided:
        raise RuntimeError("cannot have onesided output if window or input is complex")
