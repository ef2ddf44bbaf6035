"""Answers of the API against server/openapi.yaml: status, headers, content type and body of the operation.

Not from ensignd's handlers, and so not described: what libmicrohttpd itself answers to what is no HTTP (a page of HTML
without an X-Request-Id).
"""
import functools
import json
import re

from jsonschema import Draft202012Validator

# Where one of these appears, it must be described.
TELLING_HEADERS = ('Location', 'ETag', 'Retry-After', 'Allow', 'WWW-Authenticate')


class WrongAnswer(AssertionError):
    """An answer that the description does not have."""


def resolved(value, document):
    """The value with each $ref replaced by what it names; there are no cycles."""
    if isinstance(value, list):
        return [resolved(item, document) for item in value]
    if not isinstance(value, dict):
        return value
    if '$ref' not in value:
        return {name: resolved(item, document) for name, item in value.items()}
    assert len(value) == 1 and value['$ref'].startswith('#/'), value
    found = document
    for word in value['$ref'][2:].split('/'):
        found = found[word.replace('~1', '/').replace('~0', '~')]
    return resolved(found, document)


class Description:
    def __init__(self, document):
        self.paths = {path: resolved(item, document) for path, item in document['paths'].items()}
        self.elsewhere = resolved(document['x-ensign-elsewhere'], document)
        self.patterns = [(re.compile(re.sub(r'\\{[a-z]+\\}', '[^/]+', re.escape(path))), path) for path in self.paths]
        self.validators = {}

    def responses(self, method, path):
        """The responses of the operation, by status."""
        for pattern, name in self.patterns:
            if pattern.fullmatch(path):
                operation = self.paths[name].get('get' if method == 'HEAD' else method.lower())
                return operation['responses'] if operation else self.elsewhere
        return self.elsewhere

    def validator(self, schema):
        """Compiled once; keyed by the schema's identity, which lives as long as this description."""
        if id(schema) not in self.validators:
            Draft202012Validator.check_schema(schema)
            self.validators[id(schema)] = Draft202012Validator(schema)
        return self.validators[id(schema)]

    def differences(self, method, target, status, headers, body):
        response = self.responses(method, target.split('?')[0]).get(str(status))
        if response is None:
            yield f'status {status} is not described'
            return
        described = response.get('headers', {})
        for name, header in described.items():
            if headers.get(name) is not None:
                yield from self.schema_differences(header['schema'], headers[name], f'header {name}')
            elif header.get('required'):
                yield f'header {name} is missing'
        for name in TELLING_HEADERS:
            if headers.get(name) is not None and name not in described:
                yield f'header {name} is not described'
        yield from self.body_differences(response.get('content'), headers.get('Content-Type'), body,
                                         method == 'HEAD')

    def body_differences(self, content, content_type, body, is_head):
        if not content:
            if content_type is not None or body:
                yield f'a body of type {content_type} where none is described'
            return
        if content_type not in content:
            yield f'Content-Type {content_type} is not described'
            return
        if is_head:
            if body:
                yield 'HEAD is answered with a body'
            return
        try:
            value = json.loads(body) if 'json' in content_type else body.decode('latin-1' if content_type == 'application/pkix-crl' else 'utf-8')
        except ValueError as error:
            yield f'the body does not parse: {error}'
            return
        yield from self.schema_differences(content[content_type]['schema'], value, 'body')

    def schema_differences(self, schema, value, what):
        for error in self.validator(schema).iter_errors(value):
            yield f'{what} {error.json_path}: {error.message[:300]}'

    def check(self, method, target, status, headers, body):
        """headers: a mapping that does not care for case (http.client's)."""
        if body.startswith(b'<html><head><title>') and headers.get('X-Request-Id') is None:
            return
        found = list(self.differences(method, target, status, headers, body))
        if found:
            raise WrongAnswer(f'{method} {target} {status} is not as server/openapi.yaml says:\n  ' +
                              '\n  '.join(found))


@functools.lru_cache(maxsize=None)
def description(build):
    """Of the program in that build folder."""
    return Description(json.loads((build / 'server/openapi.json').read_text()))
