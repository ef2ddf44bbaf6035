"""Something between `ensign` and the service: a socket that passes requests on, and changes or loses the answers."""
import contextlib
import http.server
import socketserver
import tempfile
import threading

from lib.world import UnixConnection

PASSED_ON = ('Content-Type', 'Idempotency-Key', 'If-Match')


@contextlib.contextmanager
def relay(service, change):
    """Yields the server for `ensign --server`: whoever comes over it is root to the service.
    change(method, path, body of the answer): the body to answer with; None: the connection ends without an answer"""
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = 'HTTP/1.1'

        def do_GET(self):
            connection = UnixConnection(service.state / 'run' / 'ensignd.sock')
            sent = self.rfile.read(int(self.headers.get('Content-Length', 0))) or None
            connection.request(self.command, self.path, sent,
                               {name: self.headers[name] for name in PASSED_ON if name in self.headers})
            answer = connection.getresponse()
            body = change(self.command, self.path, answer.read())
            connection.close()
            if body is None:
                self.close_connection = True
                return
            self.send_response(answer.status)
            self.send_header('Content-Type', answer.getheader('Content-Type'))
            self.send_header('Content-Length', str(len(body)))
            if answer.getheader('ETag'):
                self.send_header('ETag', answer.getheader('ETag'))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_PUT = do_GET

        def log_message(self, *_):
            pass

    with tempfile.TemporaryDirectory(prefix='ensign-test-') as folder:
        with socketserver.ThreadingUnixStreamServer(f'{folder}/socket', Handler) as server:
            server.daemon_threads = True
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield f'unix://{folder}/socket'
            finally:
                server.shutdown()
                thread.join()
