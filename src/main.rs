//! The program: arguments, logging, configuration, then [`tandem::app`].

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tandem::app::{self, Ended, Invite};
use tandem::config::Config;
use tandem::offline::{self, Decrypt, Redact, Verify};

/// A self-hosted gateway for WhatsApp Business calls.
#[derive(Parser)]
#[command(name = "tandem", version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Configuration file (TOML); without it `tandem.toml` in the working directory, if there is one.
    #[arg(long, global = true, env = "TANDEM_CONFIG")]
    config: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the gateway (the default).
    Serve,
    /// Read the whole configuration and report every error with key and line.
    Check,
    /// Record calls of gateways on other machines: they name this one in `fork.workers`.
    Worker,
    /// Print a link by which somebody chooses a password and signs in.
    Invite(Invite),
    /// Make keys and show the public one.
    Key {
        #[command(subcommand)]
        command: KeyCommand,
    },
    /// Check that a recording is as it was recorded; exit code 2 if it was altered.
    Verify(Verify),
    /// Write what a sealed recording holds.
    Decrypt(Decrypt),
    /// Write a signed copy of a recording without what not everybody may hear.
    Redact(Redact),
    /// Print who may what under the policy pack in force, as a Markdown table.
    Access,
    /// Print the editions of the policy pack and what changes with each.
    Policy,
    /// Run the gateway with a fake WhatsApp, agents and customers, to try everything without a Meta account.
    #[cfg(feature = "sandbox")]
    Demo(tandem::sandbox::Options),
}

#[derive(Subcommand)]
enum KeyCommand {
    /// Make a key of the API and print it once.
    Create {
        #[arg(long)]
        name: String,
        /// May be given several times: calls:read, calls:write, recordings:read, permissions:write, settings:write, events:read, admin.
        #[arg(long, required = true)]
        scope: Vec<String>,
    },
    /// Print a new key for `recording.encryption_key_file` or `recording.signing_key_file`.
    Generate,
    /// Print the public key that this gateway's recordings are checked with.
    Public {
        /// In the form that OpenSSL reads.
        #[arg(long)]
        pem: bool,
    },
}

fn main() -> ExitCode {
    rustls::crypto::aws_lc_rs::default_provider().install_default().expect("nothing installed a provider before main");
    let arguments = Arguments::parse();
    start_logging();
    // Names and values that are no text cannot be ours.
    let environment = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
    let config = match Config::read(arguments.config.as_deref(), environment) {
        Ok(config) => config,
        Err(errors) => {
            eprintln!("{errors}");
            return ExitCode::from(1);
        }
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime needs only threads");
    let outcome = runtime.block_on(async {
        match arguments.command.unwrap_or(Command::Serve) {
            Command::Serve => app::serve(config).await,
            Command::Check => match config.unreadable() {
                errors if errors.is_empty() => {
                    println!("The configuration is fine.");
                    Ok(Ended::InPeace)
                }
                errors => Err(anyhow::anyhow!("{}", errors.join("\ntandem: "))),
            },
            Command::Worker => app::work(config).await,
            Command::Invite(asked) => app::invite(&config, asked).await,
            Command::Key { command: KeyCommand::Create { name, scope } } => {
                app::create_key(&config, &name, &scope).await
            }
            Command::Key { command: KeyCommand::Generate } => {
                offline::print_new_key();
                Ok(Ended::InPeace)
            }
            Command::Key { command: KeyCommand::Public { pem } } => {
                offline::print_public_key(&config, pem).map(|()| Ended::InPeace)
            }
            Command::Verify(asked) => {
                offline::check(&config, &asked).map(|altered| if altered { Ended::Altered } else { Ended::InPeace })
            }
            Command::Decrypt(asked) => offline::decrypt(&config, &asked).map(|()| Ended::InPeace),
            Command::Redact(asked) => offline::redact(&config, &asked).map(|()| Ended::InPeace),
            Command::Access => app::print_access(&config),
            Command::Policy => app::print_policy(&config),
            #[cfg(feature = "sandbox")]
            Command::Demo(options) => tandem::sandbox::run(config, options).await,
        }
    });
    match outcome {
        Ok(Ended::InPeace) => ExitCode::SUCCESS,
        Ok(Ended::Altered) => ExitCode::from(2),
        Ok(Ended::CallsCut(calls)) => {
            eprintln!("tandem: calls cut: {calls}");
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("tandem: {error:#}");
            ExitCode::from(1)
        }
    }
}

/// Lines on stderr, `RUST_LOG` chooses what; JSON when `TANDEM_LOG_FORMAT=json`.
fn start_logging() {
    use std::io::IsTerminal;

    use tracing_subscriber::EnvFilter;
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,str0m=warn,is=warn,dimpl=warn"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::env::var("TANDEM_LOG_FORMAT").is_ok_and(|format| format == "json") {
        logs.json().init();
    } else {
        logs.with_target(false).with_ansi(std::io::stderr().is_terminal()).init();
    }
}
