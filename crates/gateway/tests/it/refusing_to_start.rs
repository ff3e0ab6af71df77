//! Faults at start: the program's exit code says of which kind, and one line says what and what to
//! do.

use std::process::Command;

use tempfile::TempDir;

/// The program with all that it needs, in a folder of its own, and with these variables.
fn start(folder: &TempDir, variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let secret = |name: &str| format!("{name}-0123456789abcdef0123456789abcdef");
    let data = folder.path().display().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
    command.current_dir(folder.path()).env_clear();
    command
        .env("FLUXGATE_DATA_DIR", &data)
        .env("DATABASE_URL", format!("sqlite://{data}/accounts.db"))
        .env("REDIS_URL", "redis://127.0.0.1:1")
        .env("DOWNSTREAM_AI_URLS", "http://127.0.0.1:1")
        .env("JWT_SECRET", secret("jwt"))
        .env("ADMIN_TOKEN", secret("admin"))
        .env("GUARD_TOKEN", secret("guard"));
    for name in ["HTTPS", "ADMIN", "METRICS"] {
        command.env(format!("GATEWAY_{name}_ADDR"), "127.0.0.1:0");
    }
    command.envs(variables.iter().copied());
    let ended = command.output().unwrap();
    (ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned())
}

#[test]
fn a_certificate_that_cant_be_used_is_a_fault_of_the_configuration() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("broken.pem"), "no certificate").unwrap();
    let files = [("TLS_CERT_PATH", "broken.pem"), ("TLS_KEY_PATH", "broken.pem")];
    let (code, told) = start(&folder, &files);
    assert_eq!(code, Some(78), "{told}");
    assert!(told.contains("broken.pem"), "{told}");
}

#[test]
fn a_port_in_use_and_a_missing_setting_have_codes_of_their_own() {
    let folder = TempDir::new().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, told) = start(&folder, &[("GATEWAY_METRICS_ADDR", &address)]);
    assert_eq!(code, Some(69), "{told}");
    assert!(told.contains(&address), "{told}");
    let (code, told) = start(&folder, &[("ADMIN_TOKEN", "short")]);
    assert_eq!(code, Some(78), "{told}");
}
