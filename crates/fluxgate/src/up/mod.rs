//! `fluxgate up`: the gateway in this process, on embedded stores, with whatever it needs made
//! where nobody gave it.

mod banner;
mod embedded;
mod model;
mod signals;

use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use fluxgate_core::config::{Loaded, Program};
use fluxgate_gateway::data_folder::DataFolder;
use fluxgate_gateway::{ListenerKind, Running, Setup, log};
use tokio::runtime::{Builder, Runtime};
use tracing::warn;

pub use self::model::ollama;

use self::banner::Banner;
use self::embedded::Embedded;
use self::model::Model;
use self::signals::{Signals, Wish};
use crate::failure::Failure;
use crate::gateway_client::PORTS_FILES;
use crate::output::Format;
use crate::settings::Settings;

/// Stores, the admin API, metrics and the demo model; requests have threads of their own.
const CONTROL_THREADS: usize = 2;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Where the web page and the API in clear are, such as 127.0.0.1:8080; port 0 takes a free
    /// one, "off" leaves it out.
    #[arg(long, value_name = "ADDRESS")]
    web: Option<String>,
    /// Where the API over TLS is.
    #[arg(long, value_name = "ADDRESS")]
    https: Option<String>,
    /// Where the admin API is.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<String>,
    /// Where metrics and health are.
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<String>,
}

impl Arguments {
    fn settings(&self) -> Vec<(String, String)> {
        [
            ("listen.web", &self.web),
            ("listen.https", &self.https),
            ("listen.admin", &self.admin),
            ("listen.metrics", &self.metrics),
        ]
        .into_iter()
        .filter_map(|(path, value)| Some((path.to_owned(), value.clone()?)))
        .collect()
    }
}

/// Starts, serves until a signal, and ends.
///
/// # Errors
/// Whatever keeps it from starting: one line that says what and what to do.
pub fn run(settings: &Settings, arguments: &Arguments, format: Format) -> Result<(), Failure> {
    let began = Instant::now();
    let (settings, more) = (settings.clone(), arguments.settings());
    let read = move || settings.load(Program::Up, &more);
    let loaded = read()?;
    log::init(&loaded.config.log);
    let folder = DataFolder::open(&loaded.config.data_dir)?;
    let _lock = folder.lock()?;
    let embedded = Arc::new(Embedded::prepare(&folder)?);

    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let model = Model::choose(&loaded.config).await?;
        let setup = setup(&loaded, read, &embedded, &model);
        let running = tokio::select! {
            started = fluxgate_gateway::start(setup) => started?,
            () = signals.stop() => return Ok(()),
        };
        let banner = Banner {
            running: &running,
            config: &loaded.config,
            model: &model,
            folder: &folder,
            took: began.elapsed(),
        };
        banner.show(format)?;
        serve(&running, &mut signals).await;
        let ended = tokio::select! {
            () = running.stop() => Ok(()),
            () = signals.stop() => Err(Failure::Interrupted),
        };
        model.stop().await;
        ended
    });
    // After a second signal data threads may still be at work: nothing waits for them.
    runtime.shutdown_background();
    if ended.is_err() {
        remove_ports(&folder);
    }
    ended
}

/// The control side. Its threads are few: what is under load has its own.
fn runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build()
}

fn setup(
    loaded: &Loaded,
    read: impl Fn() -> Result<Loaded, fluxgate_core::config::Faults> + Send + Sync + 'static,
    embedded: &Arc<Embedded>,
    model: &Model,
) -> Setup {
    let movable = [
        (ListenerKind::PublicTls, "listen.https"),
        (ListenerKind::Admin, "listen.admin"),
        (ListenerKind::Metrics, "listen.metrics"),
        (ListenerKind::Web, "listen.web"),
    ];
    let complete = {
        let (embedded, entry) = (Arc::clone(embedded), model.entry());
        move |config| embedded.complete(config, entry.as_ref())
    };
    Setup {
        config: complete(loaded.config.clone()),
        movable: movable
            .into_iter()
            .filter(|(_, path)| !loaded.chosen(path))
            .map(|(kind, _)| kind)
            .collect(),
        read_again: Arc::new(move || read().map(|loaded| complete(loaded.config))),
        ports_file: PORTS_FILES[0],
        make_first_key: true,
        demo_model: model.demo_address(),
    }
}

/// Serves until a signal or a drain; SIGHUP reads the configuration again.
async fn serve(running: &Running, signals: &mut Signals) {
    loop {
        tokio::select! {
            () = running.asked_to_stop() => return,
            wish = signals.next() => match wish {
                Wish::Stop => return,
                Wish::Reload => {
                    // What comes of it is logged.
                    let _ = running.reload().await;
                }
            },
        }
    }
}

fn remove_ports(folder: &DataFolder) {
    for name in PORTS_FILES {
        if let Err(error) = folder.remove_ports(name) {
            warn!(%error, file = name, "can't remove the file of addresses");
        }
    }
}
