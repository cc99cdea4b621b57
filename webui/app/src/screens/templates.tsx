// The models that the gateway knows, and those that people add: YAML, as docs/templates.md says.
import { useState } from "preact/hooks";
import { api } from "../api";
import { language, useText } from "../i18n";
import { slug } from "../model/check";
import { lineOf } from "../model/yaml-line";
import { ask } from "../parts/dialog";
import { AreaField, TextField } from "../parts/field";
import { FileButton } from "../parts/file-button";
import { Form, useDraft, useSaving } from "../parts/form";
import { Icon } from "../parts/icon";
import { Empty, Failed, Skeleton, useLoad } from "../parts/load";
import { Page } from "../parts/page";
import { inLanguage, TemplateSearch, templateName } from "../parts/template-field";
import { tell } from "../parts/toast";
import { go, href } from "../router";
import { mayChange } from "../session";
import type { Template } from "../tool-types";
import { callText } from "../words";

/** TemplatesScreen lists the models, opens one, or adds one of one's own. */
export function TemplatesScreen({ id }: { id: string | undefined }) {
  if (id === undefined) return <List />;
  return id === "new" ? <Own key="new" /> : <One key={id} id={id} />;
}

function List() {
  const t = useText();
  return (
    <Page
      title={t.field.templates}
      back={href("devices")}
      actions={
        mayChange.value && (
          <a class="button primary" href={href("templates", "new")} data-testid="template-add">
            <Icon name="plus" />
            {t.field.templateAdd}
          </a>
        )
      }
    >
      <section class="card form-step">
        <p class="muted">{t.field.templatesText}</p>
        <TemplateSearch kind="" pick={(e) => go(`/templates/${encodeURIComponent(e.id)}`)} />
      </section>
    </Page>
  );
}

function One({ id }: { id: string }) {
  const t = useText();
  const [copy, setCopy] = useState(false);
  const { data, error, missing, reload } = useLoad(`template-screen ${id}`, () => api.templates.get(id));
  if (data && (copy || data.data.own)) {
    const own = data.data.own && !copy;
    return <Own key={`${data.etag} ${own}`} from={data.data} etag={own ? data.etag : undefined} />;
  }
  return (
    <Page title={data ? templateName(data.data) : id} back={href("templates")}>
      {data ? (
        <section class="card form-step">
          <Told template={data.data} />
          {mayChange.value && (
            <button type="button" class="button" onClick={() => setCopy(true)} data-testid="template-copy">
              <Icon name="copy" />
              {t.field.templateCopy}
            </button>
          )}
          <pre class="yaml" tabIndex={0} aria-label={t.field.templateText}>
            {data.data.yaml}
          </pre>
        </section>
      ) : missing ? (
        <Empty icon="devices" title={id} />
      ) : error !== undefined ? (
        <Failed error={error} retry={reload} />
      ) : (
        <Skeleton />
      )}
    </Page>
  );
}

function Told({ template: e }: { template: Template }) {
  const t = useText();
  return (
    <>
      <p>
        {inLanguage(e.description)} · {t.devices.points(e.point_count)}
      </p>
      <p class="muted">{t.field.source(e.source)}</p>
    </>
  );
}

const begun = `id: my-meter
kind: modbus
manufacturer: ACME
model: EM-3
category: energy_meter
description: {en: Three-phase meter, zh: 三相电能表}
source: "ACME EM-3 Modbus manual, revision 1.4, table 7"
serial: {baud: 9600, format: 8N1}
device:
  addresses: wire
points:
  - {id: voltage-l1, name: {en: Voltage L1, zh: 电压 L1}, table: input, address: 0, type: float32, unit: V}
`;

interface Draft {
  id: string;
  yaml: string;
}

/** Own edits a model of one's own; without an ETag it is a new one. */
function Own({ from, etag }: { from?: Template; etag?: string | undefined }) {
  const t = useText();
  const named = from ? (etag === undefined ? `${from.id}-2` : from.id) : "my-meter";
  const { draft, change } = useDraft<Draft>(() => ({
    id: named,
    yaml: from ? from.yaml.replace(/^id: .*$/m, `id: ${named}`) : begun,
  }));
  const saving = useSaving((pointer) => t.field.place(lineOf(draft.yaml, pointer), pointer));
  const save = (tag: string | undefined): void => {
    void saving.run(async () => {
      await api.templates.put(draft.id, draft.yaml, tag);
      tell(t.field.templateSaved(draft.id));
      go("/templates");
    });
  };
  const remove = async (): Promise<void> => {
    const { templateDelete, templateDeleteText } = t.field;
    if (!(await ask({ title: templateDelete(draft.id), text: templateDeleteText, yes: t.delete, danger: true })))
      return;
    try {
      await api.templates.remove(draft.id, etag ?? "*");
      go("/templates");
    } catch (error) {
      tell(callText(error, t, language.value === "en"), { failed: true });
    }
  };
  const take = (file: File): void => {
    void file.text().then((yaml) => change({ yaml, id: /^id:\s*"?([a-z0-9._-]+)/m.exec(yaml)?.[1] ?? draft.id }));
  };
  return (
    <Page title={etag === undefined ? t.field.templateAdd : draft.id} back={href("templates")}>
      <Form
        testid="template-form"
        saving={saving.state}
        onSubmit={() => save(etag)}
        overwrite={() => save("*")}
        actions={
          <>
            <button type="submit" class="button primary" data-testid="template-save" aria-disabled={saving.state.busy}>
              {saving.state.busy ? t.saving : t.save}
            </button>
            {etag !== undefined && (
              <button type="button" class="button" onClick={() => void remove()} data-testid="template-delete">
                <Icon name="trash" />
                {t.delete}
              </button>
            )}
            <a class="button" href={href("templates")}>
              {t.cancel}
            </a>
          </>
        }
      >
        <section class="card form-step" aria-label={t.field.templateText}>
          <TextField
            label={t.field.templateID}
            hint={t.field.templateIDHint}
            at="/id"
            value={draft.id}
            set={(id) => change({ id: slug(id) })}
            disabled={etag !== undefined}
            testid="template-id"
          />
          <FileButton label={t.field.templateFile} accept=".yaml,.yml" testid="template-file" chosen={take} />
          <AreaField
            label={t.field.templateText}
            hint={t.field.templateTextHint}
            at="/yaml"
            value={draft.yaml}
            set={(yaml) => change({ yaml })}
            rows={20}
            testid="template-yaml"
          />
        </section>
      </Form>
    </Page>
  );
}
