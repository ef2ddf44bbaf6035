"""Between `ensign agent` and the service: an HTTPS server that passes requests on as the node, and changes the answers. It
has the service's own TLS key, as who took it from the service; or another one."""
import contextlib
import http.client
import http.server
import json
import ssl
import threading

PASSED_ON = ('Content-Type', 'Idempotency-Key', 'If-None-Match')
AFTER = ('Content-Type', 'Retry-After', 'ETag')


class Middle:
    """change(method, path, status, body): None, to answer as the service did, or (status, body). instead(path, body of a
    POST): None, to pass it on, or (status, body). asked: [(method, path, body)] of all that came."""

    def __init__(self, node, change=None, tls=None, instead=None):
        self.node, self.change, self.instead, self.asked = node, change, instead, []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls or node.service.state / 'tls.pem')
        middle = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def do_GET(self):
                middle.answer(self)

            do_POST = do_PUT = do_GET

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def get_request(self):
                raw, address = self.socket.accept()
                return context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False), address

            def handle_error(self, *_):
                pass  # who does not trust this server goes away

        self.server = Server(('127.0.0.1', 0), Handler)
        self.port = self.server.server_address[1]

    def upstream(self, method, path, body, headers):
        """As the node: (status, headers, body)"""
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        identity = self.node.sets / 'node-identity'
        tls.load_cert_chain(identity / 'tls.crt', identity / 'tls.key')
        connection = http.client.HTTPSConnection('127.0.0.1', self.node.service.port, context=tls, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def answer(self, handler):
        body = handler.rfile.read(int(handler.headers.get('Content-Length', 0))) or None
        self.asked.append((handler.command, handler.path, body))
        given = handler.command == 'POST' and self.instead and self.instead(handler.path, json.loads(body))
        if given:
            status, headers, data = given[0], {'Content-Type': 'application/json'}, given[1]
        else:
            status, headers, data = self.upstream(handler.command, handler.path, body, {
                name: handler.headers[name] for name in PASSED_ON if name in handler.headers})
        status, data = (self.change and self.change(handler.command, handler.path, status, data)) or (status, data)
        handler.send_response(status)
        for name in AFTER:
            if headers.get(name):
                handler.send_header(name, headers[name])
        handler.send_header('Content-Length', str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    def requests(self, method, ending):
        return [body for how, path, body in self.asked if how == method and path.partition('?')[0].endswith(ending)]

    def __enter__(self):
        """From now on the node takes it for the service."""
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        self.point(self.port)
        return self

    def __exit__(self, *_):
        self.point(self.node.service.port)
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def point(self, port):
        path = self.node.sets / 'context'
        context = json.loads(path.read_text()) if path.read_text().startswith('{') else None
        if context:
            path.write_text(json.dumps({**context, 'server': f'https://localhost:{port}'}))
            return
        lines = path.read_text().splitlines()
        path.write_text('\n'.join(f'server: https://localhost:{port}' if line.startswith('server:') else line
                                  for line in lines) + '\n')
