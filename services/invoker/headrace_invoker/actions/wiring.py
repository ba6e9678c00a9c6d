"""The performers of all actions, put together from settings and ports."""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from headrace.adapters.http.caller import HttpCaller, make_circuits
from headrace.adapters.http.policy import EgressPolicy
from headrace.contracts.topics import TopicNames
from headrace.core.circuit import Circuits
from headrace.ports.caller import Caller, SigningSecrets
from headrace.ports.catalog import CatalogStore
from headrace.ports.clock import Clock
from headrace.ports.log import Log
from headrace.ports.pending import PendingStore
from headrace.runtime.catalog import CatalogWriter
from headrace_invoker.actions.azure_devops import AzureProvider
from headrace_invoker.actions.entities import EntityPerformer, make_entities
from headrace_invoker.actions.github import GithubProvider
from headrace_invoker.actions.gitlab import GitlabProvider
from headrace_invoker.actions.installations import InstallationPerformer, WebhookRouter
from headrace_invoker.actions.kafka import KafkaPerformer
from headrace_invoker.actions.pipelines import Pace, PipelinePerformer, Provider
from headrace_invoker.actions.settings import ActionSettings, ThirdParty
from headrace_invoker.performance import Performer, Performers
from headrace_invoker.webhook import WebhookPerformer

ANSWER_BYTES = 4 * 1024 * 1024
"""Read of one answer of a third party: lists of runs are long."""


@dataclass(frozen=True, slots=True)
class Callers:
    """The doors out: one for the calls of workflows, one for the third parties that the operator named.

    Both know the same `circuits`.
    """

    webhooks: Caller
    third_parties: Caller
    circuits: Circuits

    async def close(self) -> None:
        """Close every connection."""
        await self.webhooks.close()
        await self.third_parties.close()


def open_callers(
    policy: EgressPolicy, settings: ActionSettings, now: Callable[[], float], secrets: SigningSecrets
) -> Callers:
    """Both doors. `now` gives epoch seconds. Third parties get no signature of ours.

    The hosts that the settings name may be private, since an operator named them; no other rule is any softer.
    """
    parties: tuple[ThirdParty, ...] = (settings.github, settings.gitlab, settings.azure_devops)
    urls = [party.url for party in parties] + ([settings.remote_catalog.url] if settings.remote_catalog.url else [])
    hosts = [urlsplit(url).hostname or "" for url in urls]
    literal = [str(ipaddress.ip_network(host)) for host in hosts if _is_address(host)]
    wider = replace(
        policy, max_redirects=0, max_response_bytes=ANSWER_BYTES,
        allowed_hosts=(*policy.allowed_hosts, *(host for host in hosts if not _is_address(host))),
        allowed_networks=(*policy.allowed_networks, *literal),
    )  # fmt: skip
    circuits = make_circuits(policy)
    webhooks = HttpCaller(policy, now=now, secrets=secrets, circuits=circuits)
    return Callers(webhooks, HttpCaller(wider, now=now, circuits=circuits), circuits)


def make_performers(
    callers: Callers,
    catalog: CatalogStore,
    pending: PendingStore,
    log: Log,
    clock: Clock,
    topics: TopicNames,
    settings: ActionSettings,
    secrets: SigningSecrets,
) -> Performers:
    """The performers of everything that this version performs (headrace.core.authoring names the same types)."""

    def pipelines(provider: Provider, party: ThirdParty) -> Performer:
        return PipelinePerformer(provider, clock, Pace(party.poll_seconds, party.max_poll_seconds))

    there = callers.third_parties
    asking: dict[str, Performer] = {
        "GITHUB": pipelines(GithubProvider(settings.github, there, clock), settings.github),
        "GITLAB": pipelines(GitlabProvider(settings.gitlab, there, clock), settings.gitlab),
        "AZURE_DEVOPS": pipelines(AzureProvider(settings.azure_devops, there, clock), settings.azure_devops),
    }
    topic = settings.runs_topic or topics.runs
    writer = CatalogWriter(catalog, log, clock, topics)
    entities = make_entities(settings.remote_catalog, there, writer, clock)
    told = {name: topics.installation(name) for name in settings.installation_topics}
    installations = InstallationPerformer(pending, log, clock, told, settings.org_id, secrets)
    others: dict[str, Performer] = {
        "WEBHOOK": WebhookRouter(WebhookPerformer(callers.webhooks, clock), installations),
        "INTEGRATION_ACTION": installations,
        "KAFKA": KafkaPerformer(log, clock, topic, settings.org_id, secrets),
        "UPSERT_ENTITY": EntityPerformer(entities, clock),
    }
    return Performers({**others, **asking}, frozenset(asking))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
