import { type Command, InvalidArgumentError, Option } from 'commander'
import type { WantedCall } from '../diagnose/checks/call.js'
import { REPORTERS, type WantedReporter } from '../usecases/inputs.js'
import { isObject, type JsonObject, tryParseJson } from '../util/json.js'
import { addNetworkOptions, addStoreOptions, parseSeconds, repeatable } from './options.js'

/** Adds the flags that select the target and the credential of a check. */
export function addCheckedOptions(command: Command): Command {
  return addNetworkOptions(addStoreOptions(command))
    .option('--scope <scopes>', 'Scopes to request, separated by spaces.')
    .addOption(repeatable('--header <header>', 'Header for the target, "Name: value"; repeatable.'))
    .option('--timeout <seconds>', 'Time limit of each request.', parseTimeout, 10)
    .option('--trust', 'Send secrets to the URLs that files of this folder name.', false)
    .option('--json', 'Print one JSON document on stdout.')
}

export function addCheckOptions(command: Command): Command {
  const list = (value: string, previous: readonly string[]) => [
    ...previous,
    ...value.split(',').filter((part) => part !== ''),
  ]
  const several = (flags: string, help: string) =>
    new Option(flags, help).argParser(list).default([], 'none')
  return addCheckedOptions(command)
    .addOption(
      new Option('--reporter <list>', 'default, json, junit[=<file>] or github, with commas.')
        .argParser(parseReporters)
        .default([{ kind: 'default', file: undefined }], 'default'),
    )
    .addOption(
      new Option('--call <call>', "Call a tool: '<tool> <json> [expect <json>]'; repeatable.")
        .argParser((text: string, previous: readonly WantedCall[]) => [
          ...previous,
          parseCall(text),
        ])
        .default([], 'none'),
    )
    .addOption(several('--only <ids>', 'Run these checks, * as wildcard; repeatable.'))
    .addOption(several('--skip <ids>', 'Leave these checks out; repeatable.'))
    .option('--wait <seconds>', 'Wait up to this long for the target to come up.', parseSeconds, 0)
    .option('--budget <budget>', 'Fail when it is slower: p95=<ms>.', parseBudget)
    .option('--baseline <file>', 'Expected failures, one id a line; stale ones fail.')
    .option('--strict', 'Warnings count as failures.', false)
    .option('--via-stdio', 'Test through the stdio bridge.', false)
}

function parseReporters(text: string): WantedReporter[] {
  const wanted = text.split(',').map((part): WantedReporter => {
    const [, name = '', file] = /^(\w+)(?:=(.+))?$/.exec(part) ?? []
    const kind = REPORTERS.find((known) => known === name)
    if (kind !== undefined && (file === undefined || kind === 'junit')) return { kind, file }
    throw new InvalidArgumentError('Expected default, json, junit, junit=<file> or github.')
  })
  const documents = wanted.filter(
    ({ kind, file }) => kind !== 'default' && kind !== 'github' && !file,
  )
  if (documents.length < 2) return wanted
  throw new InvalidArgumentError('Only one document fits on stdout: write junit=<file>.')
}

/** Reads `<tool> <json> [expect <json>]`; a tool without arguments needs no JSON. */
export function parseCall(text: string): WantedCall {
  const [, tool = '', rest = ''] = /^(\S+)\s*(.*)$/s.exec(text.trim()) ?? []
  const splits = [...rest.matchAll(/expect/g)].map(({ index }) => [
    rest.slice(0, index),
    rest.slice(index + 'expect'.length),
  ])
  const [given = '', wanted = '{}'] = splits.find((parts) => parts.every(isJsonOrEmpty)) ?? [rest]
  const args = given.trim() === '' ? {} : tryParseJson(given)
  const expected = tryParseJson(wanted)
  if (tool === '' || !isObject(args) || !isObject(expected)) {
    throw new InvalidArgumentError(
      `Expected for example 'search {"query":"ping"} expect {"contains":"pong"}'.`,
    )
  }
  return { tool, arguments: args, ...readExpectation(expected) }
}

const isJsonOrEmpty = (text: string) => text.trim() === '' || isObject(tryParseJson(text))

function readExpectation(expected: JsonObject): Pick<WantedCall, 'isError' | 'contains'> {
  const { isError = false, contains, ...others } = expected
  const isOdd = typeof isError !== 'boolean' || !['string', 'undefined'].includes(typeof contains)
  if (!isOdd && Object.keys(others).length === 0) {
    return { isError: isError === true, contains: contains as string | undefined }
  }
  throw new InvalidArgumentError('Expect takes "isError" (true or false) and "contains" (a text).')
}

function parseTimeout(text: string): number {
  const seconds = parseSeconds(text)
  if (seconds > 0) return seconds
  throw new InvalidArgumentError('Expected a number of seconds above 0.')
}

function parseBudget(text: string): number {
  const ms = /^p95=(\d{1,6})(ms)?$/.exec(text)?.[1]
  if (ms !== undefined && Number(ms) > 0) return Number(ms)
  throw new InvalidArgumentError('Expected p95=<milliseconds>, such as p95=500.')
}
