import { isAbsolute } from 'node:path'
import { z } from 'zod'
import { configUrlProblem, PROJECT_ID } from '../util/descope-url.js'
import { clientKeyProblem, readJwtKey } from '../util/jwt-key.js'
import { isRelationTemplate } from '../util/relation-template.js'
import { storeUrlProblem } from '../util/store-url.js'
import { trimSlashes } from '../util/text.js'
import type { KindTypes, SettingKind } from './kinds.js'

const text = z.string().min(1)
const template = z.string().refine(isRelationTemplate)
/** Arguments and variables of a program cannot hold a zero byte. */
const argument = z.string().refine((value) => !value.includes('\0'))
const plain = argument.min(1)
/** Refuses "Bearer …" too, because of the space. */
const token = z.string().regex(/^[!-~]+$/)
const sessionSecret = z.string().refine((secret) => Buffer.byteLength(secret) >= 32)
/** Says what is wrong with a key, as an error of its own. */
const identityKey = (wants: 'private' | 'public') =>
  z.string().superRefine((value, context) => {
    const read = readJwtKey(value, wants)
    if (typeof read === 'string') context.addIssue({ code: 'custom', message: read })
  })
const headerName = z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/)
const host = z
  .string()
  .regex(/^([A-Za-z0-9_.-]+|\[?[0-9A-Fa-f.]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*(%\w+)?\]?)$/)
const hostAndPort = z.string().regex(/^([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?$/)
const origin = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9+.-]*:\/\/[^/?#@\s*]+\/?$/)
  .overwrite((value) => value.toLowerCase().replace(/\/$/, ''))
const path = z
  .string()
  .regex(/^\/[^?#\s]*$/)
  .overwrite((value) => trimSlashes(value) || value.slice(0, 1))

const url = z
  .string()
  .regex(/^[Hh][Tt][Tt][Pp][Ss]?:\/\/[^\s#]+$/)
  .refine((value) => {
    const parsed = URL.canParse(value) ? new URL(value) : undefined
    return parsed !== undefined && parsed.username === '' && parsed.password === ''
  })
/** Has a message of its own, as more can be wrong with it than with other URLs. */
const configUrl = z.string().superRefine((value, context) => {
  const message = configUrlProblem(value)
  if (message !== undefined) context.addIssue({ code: 'custom', message })
})
const publicUrl = url
  .refine((value) => !value.includes('?'))
  .overwrite((value) => (URL.canParse(value) ? trimSlashes(new URL(value).href) : value))

/** Checks and normalises the value of each kind. */
export const PARSERS: { readonly [K in SettingKind]: z.ZodType<KindTypes[K]> } = {
  text,
  url,
  publicUrl,
  host: host.overwrite((value) => value.replace(/^\[(.*)\]$/, '$1')),
  port: z.int().min(0).max(65_535),
  path,
  prefix: z.string().regex(/^[A-Za-z0-9_-]{0,32}$/),
  whole: z.int().min(0),
  positive: z.int().min(1),
  seconds: z.number().gt(0).max(86_400),
  boolean: z.boolean(),
  texts: z.array(text),
  origins: z.array(origin),
  hosts: z.array(hostAndPort.overwrite((value) => value.toLowerCase())),
  configUrl,
  issuers: z.array(z.union([url, z.string().regex(PROJECT_ID)])),
  globs: z.array(text),
  globMap: z.record(z.string(), z.array(text)),
  relations: z.record(
    text,
    z.strictObject({ resourceType: template, resource: template, relation: template }),
  ),
  secret: text,
  token,
  headerName,
  headerValue: z.string().regex(/^[!-~][ -~]*$/),
  sessionSecret,
  sessionSecrets: z.array(sessionSecret),
  identityKey: identityKey('private'),
  identityKeys: z.array(identityKey('public')),
  identityMethod: z.enum(['claims', 'jwt']),
  logLevel: z.enum(['debug', 'info', 'warn', 'error', 'silent']),
  logFormat: z.enum(['text', 'json']),
  credentialType: z.enum([
    'none',
    'bearer',
    'header',
    'client-credentials',
    'token-exchange',
    'connection',
  ]),
  connectionBy: z.enum(['user', 'tenant']),
  connectionHeader: z.union([
    headerName,
    z.strictObject({
      name: headerName,
      prefix: z
        .string()
        .regex(/^[ -~]*$/)
        .optional(),
    }),
  ]),
  clientKey: z.string().superRefine((value, context) => {
    const read = readJwtKey(value, 'private')
    const problem = typeof read === 'string' ? read : clientKeyProblem(read)
    if (problem !== undefined) context.addIssue({ code: 'custom', message: problem })
  }),
  uri: z
    .string()
    .regex(/^[A-Za-z][A-Za-z0-9+.-]*:[^\s#]+$/)
    .refine((value) => URL.canParse(value)),
  oneOrMore: z.union([text, z.array(text).min(1)]),
  whenScopeMissing: z.enum(['list', 'hide']),
  dpop: z.enum(['off', 'accept', 'require']),
  endpoints: z.enum(['merged', 'each', 'both']),
  transport: z.enum(['auto', 'http', 'sse']),
  command: z.union([plain, z.tuple([plain], argument)]),
  environment: z.record(z.string().regex(/^[^=\0]+$/), argument),
  rules: z.array(z.strictObject({ when: text, deny: text })),
  folder: plain.refine((value) => isAbsolute(value)),
  file: plain,
  storeUrl: z.string().superRefine((value, context) => {
    const message = storeUrlProblem(value)
    if (message !== undefined) context.addIssue({ code: 'custom', message })
  }),
}
