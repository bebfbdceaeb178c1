"""What the dashboards show: rows of panels, each a title, a unit and queries. dashboards.py makes Grafana's JSON of it.

In queries RANGE is Grafana's rate interval and ME selects one process of one dashboard (`process="…",instance=~"…"`).
"""
import collections

Panel = collections.namedtuple("Panel", "title unit queries help")
Row = collections.namedtuple("Row", "title panels")
Dashboard = collections.namedtuple("Dashboard", "name title process rows")


def panel(title, unit, *queries, help=""):
    return Panel(title, unit, queries, help)


def rate(metric, by="", where=""):
    """Events a second, summed by labels."""
    grouping = f" by ({by})" if by else ""
    return f"sum{grouping} (rate({metric}{{{where}}}[RANGE]))"


def quantiles(metric, by="", where=""):
    """Median, 95th and 99th percentile of a histogram, with their legends."""
    labels = "le" + (f", {by}" if by else "")
    legend = "".join(f" {{{{{label.strip()}}}}}" for label in by.split(",") if label)
    return [(f"histogram_quantile({q}, sum by ({labels}) (rate({metric}_bucket{{{where}}}[RANGE])))",
             f"p{q * 100:g}{legend}") for q in (0.5, 0.95, 0.99)]


def p95(metric, by, where=""):
    legend = " ".join(f"{{{{{label.strip()}}}}}" for label in by.split(","))
    return (f"histogram_quantile(0.95, sum by (le, {by}) (rate({metric}_bucket{{{where}}}[RANGE])))", legend)


SUITE = Dashboard("posthorn", "Posthorn", "", [
    Row("Is mail flowing?", [
        panel("Accepted", "msg/s", (rate("posthorn_smtp_messages_accepted_total"), "accepted"),
              (rate("posthorn_queue_accepted_total"), "into the queue, with bounces")),
        panel("Delivered", "msg/s",
              (rate("posthorn_queue_local_deliveries_total", where='outcome="delivered"'), "to mailboxes"),
              (rate("posthorn_queue_remote_recipients_total", where='outcome="sent"'), "to other hosts")),
        panel("Given up", "msg/s", (rate("posthorn_queue_bounced_recipients_total", "reason"), "{{reason}}"),
              help="Recipients for whom mail is returned, by why."),
        panel("In the queue", "short", ("sum(posthorn_queue_entries)", "not finished"),
              ("sum(posthorn_queue_deferred)", "waiting for the next attempt"), ("sum(posthorn_queue_held)", "held"),
              ("sum(posthorn_queue_local_waiting)", "copies waiting for the store")),
    ]),
    Row("How late is it?", [
        panel("Acceptance to mailbox", "s", *quantiles("posthorn_queue_accept_to_stored_seconds")),
        panel("Acceptance to visible in IMAP", "s", *quantiles("posthorn_imap_accept_to_visible_seconds"),
              help="In mailboxes that some client has open."),
        panel("Acceptance to another host's 250", "s", *quantiles("posthorn_queue_accept_to_sent_seconds")),
        panel("Oldest in the queue", "s", ("max by (instance) (posthorn_queue_oldest_seconds)", "{{instance}}")),
        panel("View lag", "s", p95("posthorn_imap_view_lag_seconds", "instance"),
              help="95th percentile from a change's commit to the views of each imap-gateway."),
        panel("Clients wait for 250", "s", *quantiles("posthorn_smtp_accept_seconds")),
    ]),
    Row("Why is mail refused?", [
        panel("SMTP answers to messages", "msg/s",
              (rate("posthorn_smtp_replies_total", "class", 'verb="message"'), "{{class}}")),
        panel("Refused recipients and messages", "msg/s",
              (rate("posthorn_smtp_refusals_total", "class, reason"), "{{class}} {{reason}}")),
        panel("Other hosts' answers", "msg/s",
              (rate("posthorn_queue_remote_replies_total", "class, destination, tls"),
               "{{class}} {{destination}} TLS {{tls}}")),
        panel("Reaching other hosts", "short",
              (rate("posthorn_queue_remote_connections_total", "outcome"), "{{outcome}}")),
        panel("Logins", "short", (rate("posthorn_login_attempts_total", "protocol, result"), "{{protocol}} {{result}}")),
        panel("Spam verdicts", "msg/s", (rate("posthorn_spam_verdicts_total", "stage, action"), "{{stage}} {{action}}"),
              (rate("posthorn_smtp_messages_unscored_total"), "accepted unscored")),
    ]),
    Row("Who is ill?", [
        panel("Ready", "short", ("min by (process, instance) (posthorn_process_ready)", "{{process}} {{instance}}"),
              ('up{job="posthorn"}', "up {{process}} {{instance}}")),
        panel("Failed calls between processes", "short",
              (rate("posthorn_rpc_client_errors_total", "process, method, code"), "{{process}} {{method}} {{code}}")),
        panel("Database errors", "short",
              (rate("posthorn_store_database_errors_total", "instance, call, error"), "{{instance}} {{call}} {{error}}"),
              (rate("posthorn_store_lane_commit_failures_total", "instance"), "{{instance}} failed batches")),
        panel("Lines logged", "short",
              (rate("posthorn_log_lines_total", "process, level", 'level=~"warning|error"'), "{{process}} {{level}}")),
        panel("Loop lag", "s", ("max by (process, instance) (posthorn_process_loop_lag_seconds)",
                                "{{process}} {{instance}}")),
        panel("Running since", "s", ("time() - posthorn_process_start_time_seconds", "{{process}} {{instance}}")),
        panel("Configuration", "short", ("posthorn_process_config_revision", "{{process}} {{instance}}")),
        panel("Versions", "short", ("count by (process, version) (posthorn_process_info)", "{{process}} {{version}}")),
    ]),
    Row("Load and room", [
        panel("Sessions", "short", ("sum by (protocol, tls) (posthorn_gateway_sessions)", "{{protocol}} TLS {{tls}}")),
        panel("Processor", "short", (rate("posthorn_process_cpu_seconds_total", "process, instance"),
                                     "{{process}} {{instance}}"), help="Processors used."),
        panel("Memory", "bytes", ("posthorn_process_resident_bytes", "{{process}} {{instance}}")),
        panel("Memory by use", "bytes", ("sum by (process, use) (posthorn_process_memory_bytes)", "{{process}} {{use}}")),
        panel("Open files", "percentunit",
              ("posthorn_process_open_files / posthorn_process_open_files_limit", "{{process}} {{instance}}")),
        panel("Room on disk", "percentunit",
              ("posthorn_process_disk_free_bytes / posthorn_process_disk_size_bytes", "{{process}} {{instance}}"),
              ("posthorn_store_blob_disk_free_bytes / posthorn_store_blob_disk_size_bytes",
               "{{process}} {{instance}} {{of}}")),
        panel("Transactions of the lanes", "s", p95("posthorn_store_lane_commit_seconds", "instance"),
              help="95th percentile."),
        panel("Disk syncs", "s", p95("posthorn_file_sync_seconds", "process, instance"), help="95th percentile."),
        panel("Certificates", "s", ("posthorn_gateway_certificate_not_after_seconds - time()",
                                    "{{instance}} {{certificate}}"),
              ("posthorn_process_certificate_expiry_seconds", "{{process}} {{instance}} its own"),
              help="Time until they expire."),
        panel("Lanes", "short", ("posthorn_store_lanes_owned", "{{instance}}"),
              ("increase(posthorn_store_lane_changes_total[10m])", "{{instance}} changes in 10 min")),
    ]),
])


def common(calls=True):
    """The last rows of every process's dashboard."""
    rows = [Row("This process", [
        panel("Ready", "short", ("posthorn_process_ready{ME}", "{{instance}}")),
        panel("Processor", "short", ("rate(posthorn_process_cpu_seconds_total{ME}[RANGE])", "{{instance}}")),
        panel("Memory", "bytes", ("posthorn_process_resident_bytes{ME}", "{{instance}}"),
              ("sum by (instance, use) (posthorn_process_memory_bytes{ME})", "{{instance}} {{use}}")),
        panel("Loop lag", "s", ("posthorn_process_loop_lag_seconds{ME}", "{{instance}}")),
        panel("Open files", "short", ("posthorn_process_open_files{ME}", "{{instance}}")),
        panel("Lines logged", "short", (rate("posthorn_log_lines_total", "instance, level", "ME"), "{{instance}} {{level}}")),
    ])]
    if calls:
        rows.append(Row("Calls it answers", [
            panel("Calls", "short", (rate("posthorn_rpc_server_calls_total", "method", "ME"), "{{method}}")),
            panel("Answered with an error", "short",
                  (rate("posthorn_rpc_server_errors_total", "method, code", "ME"), "{{method}} {{code}}")),
            panel("Time to answer", "s", p95("posthorn_rpc_server_seconds", "method", "ME"), help="95th percentile."),
            panel("Under way", "short", ("posthorn_rpc_server_running{ME}", "{{instance}}")),
        ]))
    return rows


def sessions(protocols):
    where = f'protocol=~"{protocols}",ME'
    return Row("Sessions", [
        panel("Open sessions", "short",
              (f"sum by (instance, protocol, tls) (posthorn_gateway_sessions{{{where}}})",
               "{{instance}} {{protocol}} TLS {{tls}}")),
        panel("Sessions that end", "short", (rate("posthorn_gateway_sessions_ended_total", "protocol, tls", where),
                                             "{{protocol}} TLS {{tls}}")),
        panel("Connections by listener", "short", ("sum by (listener) (posthorn_net_connections{ME})", "{{listener}}")),
        panel("Refused connections", "short", (rate("posthorn_net_refused_total", "reason", "ME"), "{{reason}}")),
        panel("TLS handshakes", "short", (rate("posthorn_gateway_tls_handshakes_total", "outcome", "ME"), "{{outcome}}")),
        panel("Logins", "short", (rate("posthorn_login_attempts_total", "result", "ME"), "{{result}}")),
    ])


SMTP = Dashboard("posthorn-smtp-gateway", "Posthorn: SMTP", "smtp-gateway", [
    Row("Mail in", [
        panel("Accepted", "msg/s", (rate("posthorn_smtp_messages_accepted_total", "instance", "ME"), "{{instance}}"),
              (rate("posthorn_smtp_messages_unscored_total", "instance", "ME"), "{{instance}} unscored")),
        panel("Clients wait for 250", "s", *quantiles("posthorn_smtp_accept_seconds", where="ME")),
        panel("Replies by class", "short", (rate("posthorn_smtp_replies_total", "class", "ME"), "{{class}}")),
        panel("Refusals by verb", "short",
              (rate("posthorn_smtp_replies_total", "verb, class", 'class=~"4xx|5xx",ME'), "{{verb}} {{class}}")),
        panel("Refused recipients and messages", "msg/s",
              (rate("posthorn_smtp_refusals_total", "class, reason", "ME"), "{{class}} {{reason}}")),
    ]), sessions("smtp|submission|lmtp"), *common(calls=False)])

IMAP = Dashboard("posthorn-imap-gateway", "Posthorn: IMAP", "imap-gateway", [
    Row("Mailboxes", [
        panel("Acceptance to visible", "s", *quantiles("posthorn_imap_accept_to_visible_seconds", where="ME")),
        panel("View lag", "s", *quantiles("posthorn_imap_view_lag_seconds", where="ME")),
        panel("Views", "short", ("sum by (instance) (posthorn_imap_views{ME})", "{{instance}}")),
        panel("Changes applied", "short", (rate("posthorn_imap_view_changes_total", "instance", "ME"), "{{instance}}"),
              (rate("posthorn_imap_sync_lost_total", "instance", "ME"), "{{instance}} lost streams")),
    ]),
    Row("Commands", [
        panel("Commands", "short", (rate("posthorn_imap_commands_total", "command", "ME"), "{{command}}")),
        panel("Refused commands", "short",
              (rate("posthorn_imap_completions_total", "command, status", 'status!="ok",ME'), "{{command}} {{status}}"),
              (rate("posthorn_imap_bad_commands_total", "instance", "ME"), "{{instance}} all BAD")),
        panel("Time to answer", "s", *quantiles("posthorn_imap_command_seconds", where="ME")),
        panel("Messages", "msg/s", (rate("posthorn_imap_fetched_messages_total", where="ME"), "fetched"),
              (rate("posthorn_imap_appended_messages_total", where="ME"), "appended")),
        panel("In IDLE", "short", ("sum by (instance) (posthorn_imap_sessions_idling{ME})", "{{instance}}")),
        panel("Ended by us", "short", (rate("posthorn_imap_byes_total", "instance", "ME"), "{{instance}}")),
    ]), sessions("imap"), *common(calls=False)])

POP3 = Dashboard("posthorn-pop3-gateway", "Posthorn: POP3", "pop3-gateway", [
    Row("Maildrops", [
        panel("Replies", "short", (rate("posthorn_pop3_replies_total", "status", "ME"), "{{status}}")),
        panel("Refused commands", "short",
              (rate("posthorn_pop3_replies_total", "command", 'status="err",ME'), "{{command}}")),
        panel("Messages", "msg/s", (rate("posthorn_pop3_retrieved_total", where="ME"), "retrieved"),
              (rate("posthorn_pop3_removed_total", where="ME"), "removed")),
    ]), sessions("pop3"), *common(calls=False)])

QUEUE = Dashboard("posthorn-delivery-queue", "Posthorn: queue", "delivery-queue", [
    Row("The queue", [
        panel("Entries", "short", ("posthorn_queue_entries{ME}", "{{instance}} not finished"),
              ("posthorn_queue_active{ME}", "{{instance}} active"),
              ("posthorn_queue_deferred{ME}", "{{instance}} deferred"), ("posthorn_queue_held{ME}", "{{instance}} held")),
        panel("Oldest", "s", ("posthorn_queue_oldest_seconds{ME}", "{{instance}}")),
        panel("Accepted", "msg/s", (rate("posthorn_queue_accepted_total", "instance", "ME"), "{{instance}}")),
        panel("Local deliveries", "msg/s",
              (rate("posthorn_queue_local_deliveries_total", "outcome", "ME"), "{{outcome}}"),
              ("sum(posthorn_queue_local_waiting{ME})", "waiting")),
        panel("Acceptance to mailbox", "s", *quantiles("posthorn_queue_accept_to_stored_seconds", where="ME")),
        panel("Given up", "msg/s", (rate("posthorn_queue_bounced_recipients_total", "reason", "ME"), "{{reason}}"),
              (rate("posthorn_queue_reports_total", "kind", "ME"), "notices: {{kind}}")),
    ]),
    Row("Other hosts", [
        panel("Attempts", "msg/s", (rate("posthorn_queue_remote_recipients_total", "outcome", "ME"), "{{outcome}}")),
        panel("Answers", "msg/s", (rate("posthorn_queue_remote_replies_total", "class, destination, tls", "ME"),
                                   "{{class}} {{destination}} TLS {{tls}}")),
        panel("Reaching hosts", "short", (rate("posthorn_queue_remote_connections_total", "destination, outcome", "ME"),
                                          "{{destination}} {{outcome}}")),
        panel("Connections", "short", ("posthorn_queue_remote_sessions{ME}", "{{instance}}")),
        panel("Acceptance to another host's 250", "s", *quantiles("posthorn_queue_accept_to_sent_seconds", where="ME")),
    ]),
    Row("Journal", [
        panel("Batches until durable", "s", *quantiles("posthorn_queue_journal_commit_seconds", where="ME")),
        panel("Records in a batch", "short", *quantiles("posthorn_queue_journal_batch_records", where="ME")),
        panel("Size", "bytes", ("posthorn_queue_journal_bytes{ME}", "{{instance}}")),
        panel("Lease of a journal in the store", "s", ("posthorn_queue_lease_seconds{ME}", "{{instance}}")),
        panel("Possible doubles at other hosts", "short",
              ("increase(posthorn_queue_possible_doubles_total{ME}[10m])", "{{instance}} {{cause}} in 10 min")),
        panel("Files", "short", ("posthorn_queue_journal_files{ME}", "{{instance}}"),
              (rate("posthorn_queue_journal_failures_total", "instance", "ME"), "{{instance}} failures/s")),
        panel("Disk syncs", "s", p95("posthorn_file_sync_seconds", "file", "ME")),
    ]), *common()])

STORE = Dashboard("posthorn-store-service", "Posthorn: store", "store-service", [
    Row("Lanes", [
        panel("Transactions", "s", *quantiles("posthorn_store_lane_commit_seconds", where="ME")),
        panel("Operations in a batch", "short", *quantiles("posthorn_store_lane_batch_operations", where="ME")),
        panel("Operations", "short", (rate("posthorn_store_lane_operations_total", "instance", "ME"), "{{instance}}"),
              (rate("posthorn_store_lane_commits_total", "instance", "ME"), "{{instance}} batches")),
        panel("Lanes owned", "short", ("posthorn_store_lanes_owned{ME}", "{{instance}}"),
              ("increase(posthorn_store_lane_changes_total{ME}[10m])", "{{instance}} changes in 10 min")),
        panel("Errors", "short", (rate("posthorn_store_database_errors_total", "call, error", "ME"), "{{call}} {{error}}"),
              (rate("posthorn_store_lane_commit_failures_total", "instance", "ME"), "{{instance}} failed batches")),
        panel("Database links made anew", "short",
              ("increase(posthorn_store_database_reconnects_total{ME}[10m])", "{{instance}} {{server}} server, in 10 min")),
        panel("Accounts in memory", "short", ("posthorn_store_accounts_loaded{ME}", "{{instance}}")),
    ]),
    Row("Message bytes", [
        panel("Put", "msg/s", (rate("posthorn_store_put_messages_total", "instance", "ME"), "{{instance}}"),
              (rate("posthorn_store_put_failures_total", "instance", "ME"), "{{instance}} failed")),
        panel("Bytes put", "Bps", (rate("posthorn_store_put_bytes_total", "instance", "ME"), "{{instance}}")),
        panel("Until durable", "s", *quantiles("posthorn_store_put_seconds", where="ME")),
        panel("Group commits", "s", *quantiles("posthorn_store_blob_commit_seconds", where="ME")),
        panel("Messages in a group", "short", *quantiles("posthorn_store_blob_batch_messages", where="ME"),
              (rate("posthorn_store_blob_appends_total", where="ME"), "appended/s"),
              (rate("posthorn_store_blob_append_failures_total", where="ME"), "failed/s")),
        panel("Disk syncs", "s", p95("posthorn_file_sync_seconds", "file", "ME"),
              (rate("posthorn_file_sync_failures_total", where="ME"), "failures/s")),
        panel("Damage and scrubbing", "short", ("posthorn_store_blob_damage_total{ME}", "{{instance}} damaged places"),
              ("posthorn_store_scrub_passes_total{ME}", "{{instance}} passes of the scrubber"),
              ("posthorn_store_scrubs{ME}", "{{instance}} scrubs")),
    ]),
    Row("Views and deliveries", [
        panel("Views", "short", ("posthorn_store_sync_views{ME}", "{{instance}}"),
              ("posthorn_store_sync_streams{ME}", "{{instance}} gateways")),
        panel("Changes sent", "short", (rate("posthorn_store_sync_changes_total", "instance", "ME"), "{{instance}}"),
              (rate("posthorn_store_sync_reopened_total", "instance", "ME"), "{{instance}} closed for being behind"),
              ("posthorn_store_lost_changes_total{ME}", "{{instance}} accounts with lost changes")),
        panel("Deliveries", "msg/s", (rate("posthorn_store_deliveries_total", "outcome", "ME"), "{{outcome}}")),
        panel("Logins", "short", (rate("posthorn_store_logins_total", "outcome", "ME"), "{{outcome}}")),
        panel("Going for good", "short", ("posthorn_store_erasing_accounts{ME}", "{{instance}} accounts"),
              (rate("posthorn_store_erase_steps_total", "instance", "ME"), "{{instance}} steps/s")),
        panel("Room on disk", "bytes", ("posthorn_process_disk_free_bytes{ME}", "{{instance}} free"),
              ("posthorn_process_disk_size_bytes{ME}", "{{instance}} in all"),
              ("posthorn_store_blob_disk_free_bytes{ME}", "{{instance}} messages, free"),
              ("posthorn_store_blob_disk_size_bytes{ME}", "{{instance}} messages, in all")),
    ]), *common()])

SPAM = Dashboard("posthorn-spam-service", "Posthorn: spam", "spam-service", [
    Row("Verdicts", [
        panel("Verdicts", "msg/s", (rate("posthorn_spam_verdicts_total", "stage, action", "ME"), "{{stage}} {{action}}")),
        panel("Time to the verdict", "s", *quantiles("posthorn_spam_check_seconds", "stage", "ME")),
        panel("Tests left alone", "short", ("sum by (dependency) (posthorn_spam_breakers_open{ME})", "{{dependency}}")),
    ]), *common()])

ADMIN = Dashboard("posthorn-admin-service", "Posthorn: admin", "admin-service", [
    Row("Configuration", [
        panel("Revision in use", "short", ("posthorn_process_config_revision", "{{process}} {{instance}}")),
        panel("Connected", "short", ("posthorn_process_config_connected", "{{process}} {{instance}}")),
        panel("Trace events", "short", (rate("posthorn_process_trace_events_total", "process, outcome"),
                                        "{{process}} {{outcome}}")),
        panel("Spans of traces", "short", (rate("posthorn_process_spans_total", "process, outcome"),
                                           "{{process}} {{outcome}}")),
        panel("Frames between processes", "short", (rate("posthorn_rpc_client_frames_total", "process"), "{{process}} frames"),
              (rate("posthorn_rpc_client_batches_total", "process"), "{{process}} batches")),
    ]), *common()])

ALL = [SUITE, SMTP, IMAP, POP3, QUEUE, SPAM, STORE, ADMIN]
