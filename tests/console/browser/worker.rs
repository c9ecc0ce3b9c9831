//! The console's worker, which lives longer than its pages: what is pushed to it, what it shows, and clicks on that. No page
//! can do this, so it goes by the browser's own debugging port.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::{Browser, SOON};

/// Writes down what the worker has handed to the system.
const LISTEN: &str = "if (!self.handed) {
  self.handed = [];
  const show = registration.showNotification.bind(registration);
  registration.showNotification = async (title, options) => {
    await show(title, options);
    self.handed.push(title);
  };
}";

/// The worker of one origin.
pub(crate) struct Worker {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    origin: String,
    last: u64,
    /// Of a page, for what is asked of the browser as a whole.
    page: String,
    registration: String,
    /// With the worker itself, as long as it does not fall asleep.
    session: Option<String>,
}

impl Browser {
    /// The worker that this origin's console has installed.
    pub(crate) async fn worker(&self, origin: &str) -> Worker {
        let place = std::fs::read_to_string(self.profile.join("DevToolsActivePort")).unwrap();
        let (port, path) = place.trim().split_once('\n').unwrap();
        let (socket, _) = connect_async(format!("ws://127.0.0.1:{port}{path}")).await.unwrap();
        let mut worker = Worker {
            socket,
            origin: origin.to_owned(),
            last: 0,
            page: String::new(),
            registration: String::new(),
            session: None,
        };
        worker.page = worker.attach("page", "").await.expect("there is a page");
        let page = worker.page.clone();
        worker.call(Some(&page), "ServiceWorker.enable", json!({})).await;
        let scope = format!("{origin}/");
        worker.registration = tokio::time::timeout(SOON, async {
            loop {
                let told = worker.next().await;
                if told["method"] == "ServiceWorker.workerRegistrationUpdated"
                    && let Some(ours) = told["params"]["registrations"]
                        .as_array()
                        .and_then(|all| all.iter().find(|one| one["scopeURL"] == scope.as_str()))
                {
                    return ours["registrationId"].as_str().unwrap().to_owned();
                }
            }
        })
        .await
        .expect("the console has installed its worker");
        worker
    }
}

impl Worker {
    /// A push service delivers this to the browser.
    pub(crate) async fn push(&mut self, data: &str) {
        let what = json!({"origin": self.origin, "registrationId": self.registration, "data": data});
        let page = self.page.clone();
        self.call(Some(&page), "ServiceWorker.deliverPushMessage", what).await;
    }

    /// Runs an expression in the worker and returns what it comes to.
    pub(crate) async fn run(&mut self, expression: &str) -> Value {
        let what = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let done = loop {
            let session = match self.session.take() {
                Some(session) => session,
                None => {
                    let session = self.awake().await;
                    let what = json!({"expression": LISTEN});
                    self.ask(Some(&session), "Runtime.evaluate", what).await.ok();
                    session
                }
            };
            if let Ok(done) = self.ask(Some(&session), "Runtime.evaluate", what.clone()).await {
                self.session = Some(session);
                break done;
            }
        };
        assert!(done.get("exceptionDetails").is_none(), "{expression}: {done}");
        done["result"]["value"].clone()
    }

    /// What the system shows, without what only looks nice: title, body, actions.
    pub(crate) async fn notifications(&mut self) -> Value {
        self.run(
            "registration.getNotifications().then((all) => all.map(({ title, body, actions }) => [title, body, ...actions.map(({ action }) => action)]))",
        )
        .await
    }

    /// Waits until the worker has handed this to the system, and then until the system shows it and nothing else. The system is
    /// not asked before: while it is about to show something, Chromium takes the question for news that nothing is shown and
    /// forgets it.
    pub(crate) async fn shows(&mut self, title: &str, body: &str) {
        let handed = format!("self.handed.some((title) => title === {title:?})");
        let deadline = tokio::time::Instant::now() + SOON;
        while self.run(&handed).await != true {
            assert!(tokio::time::Instant::now() < deadline, "the worker does not show {title:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(self.notifications().await, json!([[title, body]]));
    }

    /// Waves away everything that is shown.
    pub(crate) async fn wipe(&mut self) {
        self.run("registration.getNotifications().then((all) => all.forEach((each) => each.close())).then(() => { self.handed = []; })").await;
    }

    /// A click on the notification that carries this tag, or on one of its buttons. Where the console would be opened is
    /// returned: only a real click may open a window.
    pub(crate) async fn click(&mut self, tag: &str, action: &str) -> Value {
        let script = format!(
            "(async () => {{
               let opened = null;
               clients.openWindow = async (url) => {{ opened = url; }};
               const [notification] = await registration.getNotifications({{ tag: {tag:?} }});
               if (!notification) throw new Error('no such notification');
               await new Promise((resolve) => {{
                 const event = new NotificationEvent('notificationclick', {{ notification, action: {action:?} }});
                 event.waitUntil = (work) => Promise.resolve(work).then(resolve, resolve);
                 dispatchEvent(event);
               }});
               return opened;
             }})()"
        );
        self.run(&script).await
    }

    /// The browser has given itself another address, as browsers do when theirs grows old.
    pub(crate) async fn moves(&mut self, subscription: &Value) {
        let script = format!(
            "new Promise((resolve, reject) => {{
               const event = new Event('pushsubscriptionchange');
               Object.assign(event, {{ oldSubscription: null, newSubscription: {{ toJSON: () => ({subscription}) }} }});
               event.waitUntil = (work) => Promise.resolve(work).then(resolve, reject);
               dispatchEvent(event);
             }})"
        );
        self.run(&script).await;
    }

    /// A session with the worker, which is started if it sleeps.
    async fn awake(&mut self) -> String {
        let ours = format!("{}/sw.js", self.origin);
        let deadline = tokio::time::Instant::now() + SOON;
        loop {
            if let Some(session) = self.attach("service_worker", &ours).await {
                return session;
            }
            assert!(tokio::time::Instant::now() < deadline, "the worker does not wake");
            let (page, scope) = (self.page.clone(), format!("{}/", self.origin));
            self.call(Some(&page), "ServiceWorker.startWorker", json!({"scopeURL": scope})).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn attach(&mut self, kind: &str, url: &str) -> Option<String> {
        let all = self.call(None, "Target.getTargets", json!({})).await;
        let all = all["targetInfos"].as_array().unwrap();
        let ours = all.iter().find(|one| one["type"] == kind && one["url"].as_str().unwrap().starts_with(url))?;
        let what = json!({"targetId": ours["targetId"], "flatten": true});
        let attached = self.call(None, "Target.attachToTarget", what).await;
        Some(attached["sessionId"].as_str()?.to_owned())
    }

    async fn call(&mut self, session: Option<&str>, method: &str, params: Value) -> Value {
        self.ask(session, method, params).await.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    async fn ask(&mut self, session: Option<&str>, method: &str, params: Value) -> Result<Value, Value> {
        self.last += 1;
        let mut what = json!({"id": self.last, "method": method, "params": params});
        if let Some(session) = session {
            what["sessionId"] = session.into();
        }
        self.socket.send(Message::text(what.to_string())).await.unwrap();
        let answer = async {
            loop {
                let told = self.next().await;
                if told["id"] == self.last {
                    return told;
                }
            }
        };
        let told = tokio::time::timeout(SOON, answer).await.unwrap_or_else(|_| panic!("{method} is not answered"));
        match told.get("error") {
            Some(error) => Err(error.clone()),
            None => Ok(told["result"].clone()),
        }
    }

    async fn next(&mut self) -> Value {
        loop {
            let message = self.socket.next().await.expect("the browser runs").unwrap();
            if let Ok(text) = message.to_text()
                && let Ok(told) = serde_json::from_str(text)
            {
                return told;
            }
        }
    }
}
