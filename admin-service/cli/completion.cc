#include "admin-service/cli/completion.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>

#include "admin-service/cli/arguments.h"
#include "admin-service/cli/commands.h"
#include "lib/base/strings.h"
#include "posthorn/config/v1/options.pb.h"

namespace posthorn::cli {
namespace {

namespace pb = google::protobuf;
using Candidates = std::vector<std::string>;

Candidates CommandWords() {
  Candidates out = {"up", "down", "certs", "probe", "completion", "help"};
  for (const Command& command : Commands()) out.emplace_back(command.word);
  return out;
}

Candidates KindWords(const config::Schema* schema) {
  Candidates out;
  for (const config::Kind& kind : schema ? schema->kinds() : std::vector<config::Kind>())
    out.push_back(kind.word);
  return out;
}

// "field=" for each field, or "field=value" for each value it can have.
Candidates FieldWords(const config::Kind& kind, const std::string& begin,
                      const Knowledge& knowledge) {
  Candidates out;
  const size_t equals = begin.find('=');
  for (int i = 0; i < kind.descriptor->field_count(); ++i) {
    const pb::FieldDescriptor& field = *kind.descriptor->field(i);
    if (equals == std::string::npos) {
      out.push_back(field.name() + "=");
      continue;
    }
    std::string name = begin.substr(0, equals);
    if (!name.empty() && (name.back() == '+' || name.back() == '-')) name.pop_back();
    if (name != field.name()) continue;
    const std::string before = begin.substr(0, equals + 1);
    if (field.cpp_type() == pb::FieldDescriptor::CPPTYPE_BOOL)
      out = {before + "true", before + "false"};
    for (int v = 0; field.enum_type() != nullptr && v < field.enum_type()->value_count(); ++v) {
      const pb::EnumValueDescriptor& value = *field.enum_type()->value(v);
      if (value.number() != 0) out.push_back(before + value.name());
    }
    const std::string& reference = config::RulesOf(field).reference();
    for (const std::string& target :
         reference.empty() ? Candidates() : knowledge.names(reference, begin.substr(equals + 1))) {
      out.push_back(before + target);
    }
  }
  return out;
}

Candidates Explainable(const config::Schema* schema, const std::string& begin) {
  Candidates out = KindWords(schema);
  const config::Kind* kind = schema ? schema->Find(begin.substr(0, begin.find('.'))) : nullptr;
  for (int i = 0; kind != nullptr && i < kind->descriptor->field_count(); ++i) {
    out.push_back(base::StrCat(kind->word, ".", kind->descriptor->field(i)->name()));
  }
  return out;
}

Candidates Behind(const Command& command, const std::vector<std::string>& words,
                  const Knowledge& knowledge) {
  const std::string& begin = words.back();
  if (command.completes.empty()) return {};
  if (command.completes == "queue" && words.size() == 2)
    return {"list", "retry", "hold", "release", "remove", "bounce"};
  if (command.completes == "store" && words.size() == 2)
    return {"check", "journals", "forget-journal", "migrate"};
  if (command.completes == "account") return knowledge.names("account", begin);
  const config::Schema* schema = knowledge.schema();
  if (command.completes == "explain") return Explainable(schema, begin);
  const bool kinds = command.completes == "kinds";
  if (words.size() == 2 || kinds)
    return command.completes.starts_with("kind") ? KindWords(schema) : Candidates();
  const config::Kind* kind = schema ? schema->Find(words[1]) : nullptr;
  if (kind == nullptr || command.completes == "kind") return {};
  const bool fields = command.completes.ends_with("field");
  const bool names = command.completes.find("name") != std::string_view::npos;
  const size_t first_field = kind->singleton ? 2 : 3;
  if (fields && words.size() > first_field) return FieldWords(*kind, begin, knowledge);
  return names && !kind->singleton ? knowledge.names(kind->word, begin) : Candidates();
}

}  // namespace

std::vector<std::string> Complete(const std::vector<std::string>& words,
                                  const Knowledge& knowledge) {
  const std::string begin = words.empty() ? "" : words.back();
  Candidates all;
  if (begin.starts_with("-")) {
    all = AllOptions();
  } else if (words.size() <= 1) {
    all = CommandWords();
  } else if (words[0] == "certs") {
    if (words.size() == 2) all = {"init", "ensure", "renew", "show"};
  } else if (words[0] == "completion") {
    all = {"bash"};
  } else if (words[0] == "help") {
    all = CommandWords();
  } else {
    for (const Command& command : Commands()) {
      if (command.word == words[0]) all = Behind(command, words, knowledge);
    }
  }
  std::erase_if(all, [&](const std::string& candidate) { return !candidate.starts_with(begin); });
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

std::string_view BashCompletion() {
  return R"(# bash completion for posthorn; in ~/.bashrc: source <(posthorn completion bash)
_posthorn() {
  local line="${COMP_LINE:0:COMP_POINT}" words cur cut
  read -r -a words <<< "$line"
  [[ "$line" == *" " ]] && words+=("")
  cur="${words[-1]}"
  mapfile -t COMPREPLY < <("${words[0]}" __complete "${words[@]:1}" 2>/dev/null)
  # bash breaks words at = : and @, and wants only what stands behind the last of them.
  if [[ "$cur" == *[=:@]* ]]; then
    cut="${cur%"${cur##*[=:@]}"}"
    COMPREPLY=("${COMPREPLY[@]#"$cut"}")
  fi
  [[ ${#COMPREPLY[@]} -eq 1 && "${COMPREPLY[0]}" == *= ]] && compopt -o nospace
}
complete -o default -F _posthorn posthorn
)";
}

}  // namespace posthorn::cli
