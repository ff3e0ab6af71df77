//! A terminal for the command to run on.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// What was written to a terminal so far.
#[derive(Clone, Default)]
pub struct Screen(Arc<Mutex<Vec<u8>>>);

impl Screen {
    /// Has the command's input and output on a new terminal. Its lines end in `\r\n`.
    pub fn of(command: &mut Command) -> Self {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let name = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
        let end = OpenOptions::new().read(true).write(true).open(name).unwrap();
        command.stdin(end.try_clone().unwrap()).stdout(end.try_clone().unwrap()).stderr(end);

        let screen = Self::default();
        let seen = Arc::clone(&screen.0);
        thread::spawn(move || {
            let mut terminal = File::from(terminal);
            let mut bytes = [0; 4096];
            // The end of the last program on it is an error, not an end.
            while let Ok(count @ 1..) = terminal.read(&mut bytes) {
                seen.lock().unwrap().extend_from_slice(&bytes[..count]);
            }
        });
        screen
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).replace("\r\n", "\n")
    }
}
