//! How much of what was written the other end's kernel hasn't acknowledged: the one question that
//! neither the standard library nor a safe crate asks the kernel.
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd};

/// Bytes written and not acknowledged (`SIOCOUTQ`, tcp(7)). `None` where the kernel can't tell.
#[cfg(target_os = "linux")]
pub fn bytes(socket: BorrowedFd<'_>) -> Option<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open for as long as it is borrowed, and this request writes one
    // `c_int` to the address that it is given.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if result == 0 { usize::try_from(bytes).ok() } else { None }
}

/// Bytes written and not acknowledged. `None` where the kernel can't tell.
#[cfg(not(target_os = "linux"))]
pub fn bytes(_socket: BorrowedFd<'_>) -> Option<usize> {
    None
}
