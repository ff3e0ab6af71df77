//! Keys of the right form that nobody made: 12 characters of id, 32 of secret, 6 of checksum.

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// One for each number.
pub fn forged_key(number: u32) -> String {
    with_checksum(&format!("sk-fg-{number:012}-{}", "0123456789abcdef".repeat(2)))
}

/// The key that begins so: prefix, id, dash and the 32 characters.
pub fn with_checksum(start: &str) -> String {
    let mut left = crc32fast::hash(start.as_bytes()) as usize;
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62[left % 62];
        left /= 62;
    }
    format!("{start}{}", std::str::from_utf8(&digits).unwrap())
}
