//! One request: let in, routed, refused or served.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use draingate::OwnedPass;
use http::request::Parts;
use http::{HeaderMap, Uri, header};
use hyper::upgrade::OnUpgrade;
use telemetry::events::CdpConnect;
use telemetry::fields;
use telemetry::trace::{self, TraceContext};
use telemetry::words::{Addressing, EndpointKind};
use tokio::time::Instant;
use tracing::Instrument;

use crate::dial::{DialLimits, Plan};
use crate::directory::{Admitted, Target};
use crate::edge::{Inner, OverTls};
use crate::entry::Entry;
use crate::establish::establish;
use crate::external::{External, Seen};
use crate::json::{self, Ask};
use crate::quick::{self, Lease};
use crate::refusal::Refusal;
use crate::registry::Place;
use crate::route::{self, Endpoint, Face, Located, Route};
use crate::session::Session;
use crate::stops::Stops;

/// Answers one request.
///
/// # Cancel safety
/// Dropping the future means that the client has left: everything begun for it is given up, and
/// an event says so if it was to become a session.
pub(crate) async fn serve(edge: Arc<Inner>, face: Arc<Face>, request: Request) -> Response {
    let connection_id = connection_id();
    let (parts, _body) = request.into_parts();
    match answer(&edge, &face, parts, &connection_id).await {
        Ok(response) => response,
        Err(refusal) => {
            tracing::debug!(
                session.id = &*connection_id,
                http.status = refusal.status().as_u16(),
                "refused"
            );
            refusal.response(&connection_id)
        }
    }
}

async fn answer(
    edge: &Arc<Inner>,
    face: &Face,
    mut parts: Parts,
    connection_id: &Arc<str>,
) -> Result<Response, Refusal> {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
    let admitted = edge.authorize.authorize(&parts, peer).map_err(Refusal::Denied)?;
    let upgrade = parts.extensions.remove::<OnUpgrade>();
    let host = host(&parts.headers, &parts.uri);
    let address = match route::locate(face, host, parts.uri.path()) {
        Located::Nothing => return Err(Refusal::NoSuchPath),
        Located::Quick => {
            let asks = route::wants_websocket(&parts.headers);
            Route::of(&parts.method, "/", None, asks).map_err(Refusal::Route)?;
            let knock =
                Knock::of(&parts, peer, upgrade, Addressing::Quick, Endpoint::Browser, admitted)?;
            return quick::connect(edge, knock, parts.uri.query(), connection_id).await;
        }
        Located::Sandbox(address) => address,
    };
    let asks = route::wants_websocket(&parts.headers);
    let route =
        Route::of(&parts.method, address.rest, parts.uri.query(), asks).map_err(Refusal::Route)?;
    let endpoint = match Ask::of(route) {
        Err(endpoint) => endpoint,
        Ok(ask) => {
            let target = edge.directory.lookup(address.sandbox).map_err(Refusal::Lookup)?;
            // The public address leads to the shared host; a port or subdomain of a sandbox's own
            // is elsewhere, and only the address that the client used is known to lead back.
            let own_host = matches!(address.form, Addressing::Port | Addressing::Subdomain);
            let seen = Seen {
                public_url: edge.settings.public_url.as_ref().filter(|_| !own_host),
                trusted_proxies: &edge.settings.trusted_proxies,
                peer: peer.map(|peer| peer.ip()),
                tls: parts.extensions.get::<OverTls>().is_some(),
                host: host.unwrap_or_default(),
            };
            let token = route::query_token(address.rest, parts.uri.query());
            let external = External::of(seen, &parts.headers, &address, token);
            let stops = Stops::new(target.stop.clone(), edge.stop.subscribe(), admitted.until);
            return json::answer(&edge.settings, &target, &ask, &external, stops).await;
        }
    };
    let knock = Knock::of(&parts, peer, upgrade, address.form, endpoint, admitted)?;
    let target = edge.directory.lookup(address.sandbox).map_err(Refusal::Lookup)?;
    let mut entry = Entry::new(edge.reports.clone(), Arc::clone(connection_id));
    entry.of_sandbox(&target.id);
    let visit = Visit { target, limits: edge.settings.dial, lease: None };
    admit(edge, knock, visit, entry, connection_id).await
}

/// An upgrade whose handshake is good, reduced to what the session needs of its request.
pub(crate) struct Knock {
    pub(crate) switching: http::Response<()>,
    pub(crate) upgrade: OnUpgrade,
    pub(crate) endpoint: Endpoint,
    form: Addressing,
    tls: bool,
    peer: Option<SocketAddr>,
    user_agent: Option<String>,
    trace: Option<TraceContext>,
    pub(crate) admitted: Admitted,
}

impl Knock {
    fn of(
        parts: &Parts,
        peer: Option<SocketAddr>,
        upgrade: Option<OnUpgrade>,
        form: Addressing,
        endpoint: Endpoint,
        admitted: Admitted,
    ) -> Result<Self, Refusal> {
        let switching = wsproxy::handshake::accept(parts).map_err(Refusal::BadHandshake)?;
        // A server that cannot upgrade gives none, as for HTTP/1.0.
        let upgrade = upgrade
            .ok_or(Refusal::BadHandshake(wsproxy::handshake::HandshakeRefused::HttpVersion))?;
        let user_agent = parts.headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok());
        Ok(Self {
            switching,
            upgrade,
            endpoint,
            form,
            tls: parts.extensions.get::<OverTls>().is_some(),
            peer,
            user_agent: user_agent.map(str::to_owned),
            trace: TraceContext::of(&parts.headers),
            admitted,
        })
    }
}

/// Where an upgrade leads, and how long it may take.
pub(crate) struct Visit {
    pub(crate) target: Target,
    pub(crate) limits: DialLimits,
    /// The sandbox that was made for this client, if it was.
    pub(crate) lease: Option<Lease>,
}

/// What a session holds for as long as it lives. The order of the fields is that of their drop:
/// the sandbox's pass is given back before the edge's own, and the place in the table before both.
pub(crate) struct Holdings {
    _place: Place,
    _sandbox: OwnedPass,
    _lease: Option<Lease>,
    _edge: OwnedPass,
}

/// From a known sandbox to the 101, or to the refusal and its event.
pub(crate) async fn admit(
    edge: &Arc<Inner>,
    knock: Knock,
    visit: Visit,
    mut entry: Entry,
    connection_id: &Arc<str>,
) -> Result<Response, Refusal> {
    let Visit { target, limits, lease } = visit;
    let until = knock.admitted.until;
    let mut stops = Stops::new(target.stop.clone(), edge.stop.subscribe(), until);
    let reached = async {
        let now = Instant::now().into_std();
        let place = edge.registry.take(&target.id, connection_id, now)?;
        let refused =
            |stops: &mut Stops| stops.current().map_or(Refusal::Draining, Refusal::Stopped);
        let own = edge.gate.enter_owned().map_err(|_| refused(&mut stops))?;
        let label = Arc::clone(connection_id).into();
        let pass = target.gate.enter_labelled(label, now).map_err(|_| refused(&mut stops))?;
        let plan = Plan::new(limits, now);
        entry.planned(now);
        let reached = establish(&target, &knock.endpoint, plan, &mut entry, &mut stops).await?;
        place.connected(reached.opened.generation);
        Ok((Holdings { _place: place, _sandbox: pass, _lease: lease, _edge: own }, reached))
    }
    .await;
    let (holdings, reached) = match reached {
        Ok(reached) => reached,
        Err(refusal) => {
            entry.refused(&refusal);
            return Err(refusal);
        }
    };
    let session = Session {
        edge: Arc::clone(edge),
        connection_id: Arc::clone(connection_id),
        generation: reached.opened.generation,
        endpoint: knock.endpoint,
        target,
        changes: reached.changes,
        stops,
    };
    let (peer, tls, form, user_agent) = (knock.peer, knock.tls, knock.form, knock.user_agent);
    let (upgrade, trace) = (knock.upgrade, knock.trace);
    // Two tasks, one after the other: a session may live for days, and its own has only the room
    // that it needs from here on.
    edge.own(trace::within(trace, async move {
        let upgraded = match upgrade.await {
            Ok(upgraded) => upgraded,
            // The client left while the 101 was on its way; the entry says so.
            Err(_) => return,
        };
        let opened = reached.opened;
        let held = entry.connected(Instant::now().into_std());
        let (endpoint, target_id) = match &session.endpoint {
            Endpoint::Browser => (EndpointKind::Browser, None),
            Endpoint::Page { target } => (EndpointKind::Page, Some(target.as_str().into())),
        };
        let record_ip = session.edge.settings.record_client_ip;
        let record = session.open(CdpConnect {
            connection_id: (&session.connection_id).into(),
            generation: session.generation,
            endpoint,
            target_id,
            addressing: form,
            hold_ms: held.into(),
            dial_ms: opened.dialled.into(),
            dial_attempts: opened.attempts.into(),
            tls,
            local: peer.is_some_and(|peer| peer.ip().is_loopback()),
            user_agent: user_agent.map(Into::into),
            client_ip: peer.filter(|_| record_ip).map(|peer| peer.ip().to_string().into()),
        });
        let span = tracing::info_span!(
            "session",
            { fields::SESSION_ID } = &*session.connection_id,
            { fields::SANDBOX_ID } = &*session.target.id,
            { fields::GENERATION } = session.generation,
            { fields::TRACE_ID } = trace.map(|trace| tracing::field::display(trace.trace_id())),
        );
        if let Some(trace) = trace {
            trace::continues(&span, trace);
        }
        let edge = Arc::clone(&session.edge);
        let client = wsproxy::handshake::into_stream(upgraded);
        let run = session.run(record, holdings, client, (reached.socket, reached.prefix));
        edge.own(trace::within(trace, run.instrument(span)));
    }));
    Ok(knock.switching.map(|()| Body::empty()))
}

/// Host header, or the authority of the request line.
pub(crate) fn host<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Option<&'a str> {
    let header = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    uri.authority().map(http::uri::Authority::as_str).or(header)
}

/// Names a session in its events and answers: 100 random bits.
fn connection_id() -> Arc<str> {
    const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut random = fastrand::u128(..);
    let mut id = String::with_capacity(21);
    id.push('c');
    for _ in 0..20 {
        id.push(char::from(DIGITS[(random & 31) as usize]));
        random >>= 5;
    }
    id.into()
}
