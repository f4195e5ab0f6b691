import { describe, expect, it } from 'vitest'
import { exposeResourceLinks } from '../../../../src/gateway/rewriting/resource-links.js'

const docs = { name: 'docs', prefix: 'docs' }

const expose = (message: object) => JSON.parse(exposeResourceLinks(docs, JSON.stringify(message)))

const result = (members: object) => ({ jsonrpc: '2.0', id: 1, result: members })

describe('exposeResourceLinks', () => {
  it.each([
    [
      'contents of a resource',
      result({
        contents: [
          { uri: 'data://a', text: 'data://a' },
          { uri: 'urn:x', blob: '' },
        ],
      }),
      result({
        contents: [
          { uri: 'data://docs/a', text: 'data://a' },
          { uri: 'docs+urn:x', blob: '' },
        ],
      }),
    ],
    [
      'links and resources in the result of a tool',
      result({
        content: [
          { type: 'text', text: 'see data://a', uri: 'data://a' },
          { type: 'resource_link', uri: 'data://a', name: 'a' },
          { type: 'resource', resource: { uri: 'data://b', text: 'b' } },
        ],
        structuredContent: { uri: 'data://a' },
      }),
      result({
        content: [
          { type: 'text', text: 'see data://a', uri: 'data://a' },
          { type: 'resource_link', uri: 'data://docs/a', name: 'a' },
          { type: 'resource', resource: { uri: 'data://docs/b', text: 'b' } },
        ],
        structuredContent: { uri: 'data://a' },
      }),
    ],
    [
      'a resource in a prompt',
      result({
        messages: [{ role: 'user', content: { type: 'resource', resource: { uri: 'a:b' } } }],
      }),
      result({
        messages: [{ role: 'user', content: { type: 'resource', resource: { uri: 'docs+a:b' } } }],
      }),
    ],
    [
      'the view of a result, and of what stands in it',
      result({
        _meta: { ui: { resourceUri: 'ui://w/a', other: 'ui://w/a' }, 'ui/resourceUri': 'ui://w/b' },
        content: [
          { type: 'text', text: 'x', _meta: { 'openai/outputTemplate': 'ui://w/c' } },
          {
            type: 'resource',
            resource: { uri: 'ui://w/d' },
            _meta: { ui: { resourceUri: 'ui://w/d' } },
          },
        ],
      }),
      result({
        _meta: {
          ui: { resourceUri: 'ui://docs/w/a', other: 'ui://w/a' },
          'ui/resourceUri': 'ui://docs/w/b',
        },
        content: [
          { type: 'text', text: 'x', _meta: { 'openai/outputTemplate': 'ui://docs/w/c' } },
          {
            type: 'resource',
            resource: { uri: 'ui://docs/w/d' },
            _meta: { ui: { resourceUri: 'ui://docs/w/d' } },
          },
        ],
      }),
    ],
    [
      'links in what a target asks of a model',
      {
        jsonrpc: '2.0',
        id: 1,
        method: 'sampling/createMessage',
        params: {
          messages: [
            {
              role: 'user',
              content: [
                { type: 'tool_result', content: [{ type: 'resource_link', uri: 'a://b' }] },
              ],
            },
          ],
        },
      },
      {
        jsonrpc: '2.0',
        id: 1,
        method: 'sampling/createMessage',
        params: {
          messages: [
            {
              role: 'user',
              content: [
                { type: 'tool_result', content: [{ type: 'resource_link', uri: 'a://docs/b' }] },
              ],
            },
          ],
        },
      },
    ],
    [
      'links in the questions of a result',
      result({
        inputRequests: {
          q: { params: { messages: [{ content: { type: 'resource_link', uri: 'a://b' } }] } },
        },
      }),
      result({
        inputRequests: {
          q: { params: { messages: [{ content: { type: 'resource_link', uri: 'a://docs/b' } }] } },
        },
      }),
    ],
    [
      'the view of a notification',
      {
        jsonrpc: '2.0',
        method: 'notifications/x',
        params: { _meta: { 'ui/resourceUri': 'ui://w' } },
      },
      {
        jsonrpc: '2.0',
        method: 'notifications/x',
        params: { _meta: { 'ui/resourceUri': 'ui://docs/w' } },
      },
    ],
    [
      'the notice of an update',
      { jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri: 'data://a' } },
      {
        jsonrpc: '2.0',
        method: 'notifications/resources/updated',
        params: { uri: 'data://docs/a' },
      },
    ],
  ])('exposes %s', (_title, message, exposed) => {
    expect(expose(message)).toEqual(exposed)
  })

  it.each([
    ['no URI', '{ "jsonrpc":"2.0", "id":1, "result":{"content":[]} }'],
    ['no JSON', '{"uri"'],
    ['an array', '[{"uri":"data://a"}]'],
    ['a URI elsewhere', '{"id":1, "result":{"structuredContent":{"uri":"data://a","n":1.0}}}'],
    ['a URI that is no text', '{"id":1, "result":{"contents":[{"uri":7}]}}'],
    [
      'odd shapes',
      '{"result":{"contents":"uri","content":[null,"uri",{"uri":"x"}],"messages":[7]}}',
    ],
    ['null members', '{"result":{"content":[{"type":"resource","resource":null,"uri":"x"}]}}'],
    ['another notification', '{"method":"notifications/x", "params":{"uri":"data://a"}}'],
  ])('keeps every byte of a message with %s', (_title, text) => {
    expect(exposeResourceLinks(docs, text)).toBe(text)
  })
})
