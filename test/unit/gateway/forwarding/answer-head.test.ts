import { describe, expect, it } from 'vitest'
import { judgeHead, oneValue } from '../../../../src/gateway/forwarding/answer-head.js'
import type { Expectation } from '../../../../src/gateway/forwarding/upstream-send.js'

const JSON_TYPE = { 'content-type': 'application/json' }

const STREAM_TYPE = { 'content-type': 'text/event-stream' }

describe('judgeHead', () => {
  it.each<[number, Record<string, string | string[]>, Expectation, string]>([
    [200, JSON_TYPE, 'response', 'read'],
    [200, { 'content-type': 'Application/JSON; charset=utf-8' }, 'response', 'read'],
    [200, { 'content-type': ['application/json', 'text/html'] }, 'response', 'read'],
    [200, STREAM_TYPE, 'response', 'stream'],
    [200, { 'content-type': 'text/event-stream;charset=UTF-8' }, 'stream', 'stream'],
    [200, { ...JSON_TYPE, 'content-encoding': 'identity' }, 'response', 'read'],
    [200, { ...JSON_TYPE, 'content-encoding': 'identity, Identity' }, 'response', 'read'],
    [200, { ...JSON_TYPE, 'content-encoding': 'identity, gzip' }, 'response', 'fail'],
    [200, JSON_TYPE, 'stream', 'fail'],
    [200, {}, 'response', 'fail'],
    [200, { 'content-type': 'text/html' }, 'response', 'fail'],
    [200, { 'content-type': 'application/jsonx' }, 'response', 'fail'],
    [202, {}, 'response', 'fail'],
    [202, {}, 'status', 'read'],
    [204, {}, 'status', 'read'],
    [200, { ...JSON_TYPE, 'content-encoding': 'gzip' }, 'response', 'fail'],
    [200, { 'content-encoding': 'gzip' }, 'status', 'fail'],
    [301, {}, 'response', 'fail'],
    [307, JSON_TYPE, 'status', 'fail'],
    [400, {}, 'response', 'read'],
    [404, { 'content-type': 'text/html' }, 'stream', 'read'],
    [405, {}, 'stream', 'read'],
    [401, JSON_TYPE, 'response', 'credential'],
    [403, {}, 'status', 'credential'],
    [407, {}, 'stream', 'credential'],
    [429, JSON_TYPE, 'response', 'fail'],
    [500, JSON_TYPE, 'response', 'fail'],
    [503, STREAM_TYPE, 'stream', 'fail'],
  ])('judges %i %j while waiting for a %s: %s', (status, headers, expected, next) => {
    expect(judgeHead(status, headers, expected).next).toBe(next)
  })

  it.each<[number, Record<string, string>, string]>([
    [302, { location: 'https://inner.example/?token=x' }, 'it redirects elsewhere'],
    [200, { 'content-type': 'text/html' }, 'its answer is "text/html", not MCP'],
    [200, {}, 'its answer is without a content type, not MCP'],
    [202, {}, 'its answer is HTTP 202 without a message, not MCP'],
    [
      200,
      { 'content-type': `x/${'y'.repeat(90)}` },
      `its answer is "x/${'y'.repeat(58)}", not MCP`,
    ],
    [429, {}, 'it answered HTTP 429'],
    [200, { 'content-encoding': 'br' }, 'its answer is compressed, which was not requested'],
  ])('says of %i %j why it fails', (status, headers, reason) => {
    expect(judgeHead(status, headers, 'response')).toMatchObject({ next: 'fail', reason })
  })
})

describe('oneValue', () => {
  it('takes the first of several', () => {
    expect([oneValue(undefined), oneValue('a'), oneValue(['a', 'b']), oneValue([])]).toEqual([
      undefined,
      'a',
      'a',
      undefined,
    ])
  })
})
