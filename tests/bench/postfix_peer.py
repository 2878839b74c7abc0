"""Postfix as a pure durable relay on loopback: the peer that mtad is measured
beside. As many processes and as few limits as help it; its queue stays durable.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import mtapostfix  # noqa: E402
from mtapostfix import is_there  # noqa: E402,F401


def Postfix(home, port, next_port):
    return mtapostfix.Postfix(home, port, {
        "myhostname": "peer.bench.example",
        "relayhost": "[127.0.0.1]:%d" % next_port,
        "smtpd_tls_security_level": "",
        "smtp_tls_security_level": "",
        "default_process_limit": 200,
        "max_use": 10000,
        "in_flow_delay": 0,
        "smtp_destination_concurrency_limit": 10,
        "initial_destination_concurrency": 10,
        "smtp_connection_cache_destinations": "[127.0.0.1]:%d" % next_port,
    })
