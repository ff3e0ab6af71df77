//! A model server that `up` did not start: the demo model, as slow and as long as a test needs it.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use fluxgate_demo::{Behaviour, DemoConfig, DemoModel, Pace};

/// Starts one that answers with that many tokens, one each 20 ms. It ends with the test's process.
pub fn with_tokens(count: u32) -> SocketAddr {
    let (started, address) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let behaviour = Behaviour::default().and(&format!("tokens={count}")).unwrap();
            let pace = Pace(Duration::from_millis(20));
            let config = DemoConfig { pace, behaviour, ..DemoConfig::default() };
            let model = DemoModel::bind(config).await.unwrap();
            started.send(model.local_addr()).unwrap();
            model.serve(pending()).await;
        });
    });
    address.recv().unwrap()
}
